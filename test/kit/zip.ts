import { crc32, deflateRawSync } from "node:zlib";

/** One entry of a zip; what is not said is as an honest archiver would have it. */
export interface ZipEntry {
  readonly name: string | Buffer;
  readonly data?: Uint8Array | string;
  /** 0 stored, 8 deflated (default), others as numbers only. */
  readonly method?: number;
  readonly flags?: number;
  /** Kind and rights as Unix has them, such as 0o120777 for a link. */
  readonly mode?: number;
  /** What the directory says in place of the truth. */
  readonly says?: {
    readonly size?: number;
    readonly crc?: number;
    readonly offset?: number;
    readonly compressed?: number;
  };
}

/** The bytes of a zip with these entries, harmless or not. */
export function zipOf(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data = "", method = 8, flags = 0x800, mode = 0o100644, says = {} } of entries) {
    const bytes = Buffer.from(data as string);
    const packed = method === 8 ? deflateRawSync(bytes) : bytes;
    const title = Buffer.isBuffer(name) ? name : Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(0x5a21_6000 >>> 0, 6);
    common.writeUInt32LE(says.crc ?? crc32(bytes), 10);
    common.writeUInt32LE(says.compressed ?? packed.length, 14);
    common.writeUInt32LE(says.size ?? bytes.length, 18);
    common.writeUInt16LE(title.length, 22);
    const local = Buffer.concat([Buffer.from("PK\u0003\u0004"), common, title, packed]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE((mode << 16) >>> 0, 6);
    tail.writeUInt32LE(says.offset ?? offset, 10);
    directory.push(Buffer.from("PK\u0001\u0002"), Buffer.from([20, 3]), common, tail, title);
    parts.push(local);
    offset += local.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(listed.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, listed, Buffer.from("PK\u0005\u0006"), end]);
}
