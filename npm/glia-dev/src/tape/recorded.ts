// In Glia's place where recordings are replayed: there is no session, calls are answered before they would need one.
import type { Upstream } from "../relay.ts";

export const recorded: Upstream = {
  ready_within: () => Promise.resolve({ problem: "Recordings are replayed here; Glia itself does not run." }),
};
