// One member out of a wheel, which is a zip file: where its bytes lie, and whether they are deflated.
import { open, type FileHandle } from "node:fs/promises";

export interface Member {
  /** Of the stored bytes in the file. */
  start: number;
  compressed: number;
  size: number;
  deflated: boolean;
}

const kEndOfDirectory = 0x06054b50;
const kDirectoryEntry = 0x02014b50;
const kLocalHeader = 0x04034b50;
const kEndBytes = 22;
const kLongestComment = 65535;
const kDirectoryLimit = 8 << 20;

/** True for a zip file, by its first bytes. */
export function is_zip(first: Buffer): boolean {
  return first.length >= 4 && first.readUInt32LE(0) === kLocalHeader;
}

/** Throws an Error when the file is no zip file or has no such member. */
export async function find_member(path: string, name: string): Promise<Member> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const tail = await read(
      file,
      Math.max(0, size - kEndBytes - kLongestComment),
      Math.min(size, kEndBytes + kLongestComment),
    );
    let at = tail.length - kEndBytes;
    while (at >= 0 && tail.readUInt32LE(at) !== kEndOfDirectory) at--;
    if (at < 0) throw new Error("it is not a whole wheel");
    const length = tail.readUInt32LE(at + 12);
    const offset = tail.readUInt32LE(at + 16);
    if (length > kDirectoryLimit || offset + length > size) throw new Error("its list of files is damaged");
    const entry = find_entry(await read(file, offset, length), name);
    const header = await read(file, entry.header, 30);
    if (header.readUInt32LE(0) !== kLocalHeader) throw new Error(`its file ${name} is damaged`);
    const start = entry.header + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
    if (start + entry.compressed > size) throw new Error(`its file ${name} is cut off`);
    return { start, compressed: entry.compressed, size: entry.size, deflated: entry.method === 8 };
  } finally {
    await file.close();
  }
}

interface Entry {
  method: number;
  compressed: number;
  size: number;
  header: number;
}

function find_entry(directory: Buffer, name: string): Entry {
  for (let at = 0; at + 46 <= directory.length && directory.readUInt32LE(at) === kDirectoryEntry;) {
    const name_length = directory.readUInt16LE(at + 28);
    const found = directory.toString("utf8", at + 46, at + 46 + name_length);
    if (found === name) {
      const entry = {
        method: directory.readUInt16LE(at + 10),
        compressed: directory.readUInt32LE(at + 20),
        size: directory.readUInt32LE(at + 24),
        header: directory.readUInt32LE(at + 42),
      };
      if (entry.method !== 0 && entry.method !== 8) throw new Error(`its file ${name} is packed in an unknown way`);
      return entry;
    }
    at += 46 + name_length + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  throw new Error(`it has no file ${name}`);
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  if (bytesRead !== length) throw new Error("it is cut off");
  return buffer;
}
