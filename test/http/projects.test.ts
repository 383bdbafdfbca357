import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createProjectApp, type ProjectApp, type TestUser } from "../kit/project-app.js";

let app: ProjectApp;
let ada: TestUser;
let ben: TestUser;

beforeAll(async () => {
  app = await createProjectApp();
  ada = await app.user();
  ben = await app.user();
});
afterAll(() => app.close());

it("smoke", async () => {
  const p = await app.project(ada, [[ben, "viewer"]]);
  const r = await app.call("GET", `/projects/${p}`, { as: ben });
  console.log(JSON.stringify(r.body), await app.events(p));
  expect(r.status).toBe(200);
});
