import { describe, expect, it } from "@jest/globals";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { Awareness } from "./awareness.js";
import { BadMessage } from "./sync-protocol.js";

const ada = { userId: "ada", name: "Ada" };
const bob = { userId: "bob", name: "Bob" };

function states(...entries: [number, number, unknown][]): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, entries.length);
    for (const [id, clock, state] of entries) {
      encoding.writeVarUint(encoder, id);
      encoding.writeVarUint(encoder, clock);
      encoding.writeVarString(encoder, typeof state === "string" ? state : JSON.stringify(state));
    }
  });
}

function read(bytes: Uint8Array | undefined): [number, number, unknown][] {
  if (!bytes) return [];
  const decoder = decoding.createDecoder(bytes);
  return Array.from({ length: decoding.readVarUint(decoder) }, () => [
    decoding.readVarUint(decoder),
    decoding.readVarUint(decoder),
    JSON.parse(decoding.readVarString(decoder)),
  ]);
}

describe("awareness", () => {
  it("[DOC51] the latest state of each client goes out once, stamped with who speaks", () => {
    const awareness = new Awareness();
    expect(awareness.receive(ada, states([1, 1, { a: 1 }]), 0)).toBe(true);
    expect(awareness.receive(ada, states([1, 3, { a: 3, user: { id: "bob", color: "red" } }]), 0)).toBe(true);
    expect(awareness.receive(ada, states([1, 2, { a: 2 }]), 0)).toBe(false);
    expect(read(awareness.takeChanges()?.all)).toEqual([
      [1, 3, { a: 3, user: { id: "ada", name: "Ada", color: "red" } }],
    ]);
    expect(awareness.takeChanges()).toBeUndefined();
  });

  it("[DOC51] nobody speaks for a client id of another account, here or on another node", () => {
    const here = new Awareness();
    const there = new Awareness();
    here.receive(ada, states([1, 1, { at: 1 }]), 0);
    there.receiveRemote(here.takeChanges()?.local ?? new Uint8Array(), 0);
    for (const awareness of [here, there]) {
      expect(awareness.receive(bob, states([1, 9, { at: 666 }]), 0)).toBe(false);
      expect(awareness.receive(bob, states([1, 9, "null"]), 0)).toBe(false);
    }
    expect(read(there.everybody())).toEqual([[1, 1, { at: 1, user: { id: "ada", name: "Ada" } }]]);
  });

  it("[DOC51] who goes is ended with the next clock, and a node that fell silent after 40 s", () => {
    const here = new Awareness();
    const there = new Awareness();
    here.receive(ada, states([1, 5, { at: 1 }], [2, 1, { at: 2 }]), 0);
    there.receiveRemote(here.takeChanges()?.local ?? new Uint8Array(), 0);
    expect(here.leave(ada, 0)).toBe(true);
    expect(read(here.takeChanges()?.all)).toEqual([
      [1, 6, null],
      [2, 2, null],
    ]);
    expect(here.everybody()).toBeUndefined();
    expect(there.sweep(39_000)).toBe(false);
    expect(there.sweep(41_000)).toBe(true);
    expect(read(there.takeChanges()?.all)).toHaveLength(2);
  });

  it("[DOC51] what is no object, too large, or one client id too many is passed over; what cannot be read is refused", () => {
    const awareness = new Awareness();
    const many = Array.from({ length: 40 }, (_, i): [number, number, unknown] => [i, 1, {}]);
    awareness.receive(
      bob,
      states([100, 1, "[]"], [101, 1, "7"], [102, 1, "{"], [103, 1, { x: "y".repeat(5_000) }]),
      0,
    );
    expect(awareness.everybody()).toBeUndefined();
    awareness.receive(ada, states(...many), 0);
    expect(read(awareness.everybody())).toHaveLength(32);
    expect(() => awareness.receive(ada, Uint8Array.of(3, 1, 1), 0)).toThrow(BadMessage);
    expect(() => awareness.receive(ada, Uint8Array.of(255, 255, 255, 255, 127), 0)).toThrow(BadMessage);
  });
});
