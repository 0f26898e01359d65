import { readFileSync } from "node:fs";

/** Packets and connections of this network namespace that had no route, IPv4 and IPv6, since it was made. */
export function attempts_outside(): number {
  const [names, values] = readFileSync("/proc/net/snmp", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("Ip:"));
  const column = names!.split(" ").indexOf("OutNoRoutes");
  const four = Number(values!.split(" ")[column]);
  const six = Number(/^Ip6OutNoRoutes\s+(\d+)/m.exec(readFileSync("/proc/net/snmp6", "utf8"))?.[1] ?? 0);
  return four + six;
}
