// Express and `pg`, nothing else: the statement Atelier runs for GET /projects/:projectId, its row as the answer.
import express from "express";
import pg from "pg";

const { POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD, USER_ID } = process.env;
const pool = new pg.Pool({
  host: POSTGRES_HOST,
  port: Number(POSTGRES_PORT),
  user: POSTGRES_USER,
  database: POSTGRES_DB,
  password: POSTGRES_PASSWORD,
  max: 20,
});
const STATEMENT = `select "p"."id", "p"."name", "p"."description", "m"."role", "p"."created_at" as "createdAt",
  "p"."updated_at" as "updatedAt", greatest(p.version, m.version) as "version"
  from "projects" as "p" inner join "project_members" as "m" on "m"."project_id" = "p"."id"
  where "m"."user_id" = $1 and "p"."id" = $2`;

const app = express();
app.get("/api/v1/projects/:projectId", async (request, response) => {
  const { rows } = await pool.query(STATEMENT, [USER_ID, request.params.projectId]);
  response.json({ project: rows[0] });
});
const server = app.listen(0, "127.0.0.1", () => console.log(`ready ${server.address().port}`));
process.on("SIGTERM", () => process.exit(0));
