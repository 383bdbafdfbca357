import { describe, expect, it } from "@jest/globals";
import { type Action, can, decide, WEAKEST_ROLE } from "./access.js";

const READ: Action[] = [
  "project.read",
  "member.read",
  "member.leave",
  "workspace.read",
  "file.read",
  "activity.read",
  "presence.read",
  "awareness.send",
  "event.receive",
  "job.read",
];
const WRITE: Action[] = ["project.update", "workspace.write", "file.write", "event.send", "job.run"];
const MANAGE: Action[] = ["project.delete", "member.manage", "invitation.manage"];

describe("the table of rights", () => {
  it("[ACC11] knows each action once", () => {
    expect([...READ, ...WRITE, ...MANAGE].sort()).toEqual(Object.keys(WEAKEST_ROLE).sort());
  });

  it.each([
    ["owner", [...READ, ...WRITE, ...MANAGE]],
    ["collaborator", [...READ, ...WRITE]],
    ["viewer", READ],
    [undefined, []],
  ] as const)("[ACC11] lets %s do exactly this", (role, allowed) => {
    const actions = Object.keys(WEAKEST_ROLE) as Action[];
    expect(actions.filter((action) => can(role, action)).sort()).toEqual([...allowed].sort());
  });

  it("[ACC2] hides the project from strangers, and tells members what they may not", () => {
    expect(() => decide(undefined, "project.read")).toThrow(expect.objectContaining({ code: "not_found" }));
    expect(() => decide("viewer", "file.write")).toThrow(expect.objectContaining({ code: "forbidden" }));
    expect(decide("viewer", "file.read")).toBe("viewer");
  });
});
