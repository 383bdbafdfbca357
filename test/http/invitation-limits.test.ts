import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createProjectApp, type ProjectApp } from "../kit/project-app.js";

const DAY_MS = 86_400_000;

let limited: ProjectApp;
beforeAll(async () => {
  limited = await createProjectApp({ invitesPerHour: 6 });
});
afterAll(() => limited.close());

describe("POST /projects/:projectId/members (429)", () => {
  it("[INV23] limits invitations per inviter", async () => {
    const owner = await limited.user();
    const projectId = await limited.project(owner);
    const statuses = [];
    let last;
    for (let i = 0; i < 7; i++) {
      last = await limited.call("POST", `/projects/${projectId}/members`, {
        as: owner,
        body: { email: `limit${i}@example.test`, role: "viewer" },
      });
      statuses.push(last.status);
    }
    expect(statuses).toEqual([201, 201, 201, 201, 201, 201, 429]);
    expect(last?.headers.get("retry-after")).toMatch(/^\d+$/);
  });

  it("[INV24] mails one address three times a day, whoever asks; adding accounts is not counted", async () => {
    const statuses = [];
    for (let i = 0; i < 4; i++) {
      const owner = await limited.user();
      const projectId = await limited.project(owner);
      const body = { email: "target@example.test", role: "viewer" };
      const answer = await limited.call("POST", `/projects/${projectId}/members`, { as: owner, body });
      statuses.push(answer.status);
    }
    expect(statuses).toEqual([201, 201, 201, 429]);
    expect(limited.mails.filter((mail) => mail.to === "target@example.test")).toHaveLength(3);
    const colleague = await limited.user();
    const owner = await limited.user();
    for (let i = 0; i < 5; i++) await limited.project(owner, [[colleague, "viewer"]]);
  });

  it("[INV24] asks for the right before it counts", async () => {
    const owner = await limited.user();
    const outsider = await limited.user();
    const projectId = await limited.project(owner);
    const body = { email: "spared@example.test", role: "viewer" };
    for (let i = 0; i < 4; i++) {
      await limited.call("POST", `/projects/${projectId}/members`, { as: outsider, body });
    }
    expect((await limited.call("POST", `/projects/${projectId}/members`, { as: owner, body })).status).toBe(
      201,
    );
  });
});

describe("housekeeping", () => {
  it("[INV22] forgets what expired 30 days ago, and nothing younger", async () => {
    const owner = await limited.user();
    const path = `/projects/${await limited.project(owner)}`;
    const body = { email: "old@example.test", role: "viewer" };
    await limited.call("POST", `${path}/members`, { as: owner, body });
    const listed = async () =>
      (await limited.call("GET", `${path}/invitations`, { as: owner })).body.invitations.length;
    limited.advance(36 * DAY_MS);
    await limited.projects.pruneInvitations(1_000);
    expect(await listed()).toBe(1);
    limited.advance(2 * DAY_MS);
    await limited.projects.pruneInvitations(1_000);
    expect(await listed()).toBe(0);
  });
});
