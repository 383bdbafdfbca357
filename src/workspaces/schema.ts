import { z } from "zod";
import { idSchema, nameSchema, timeSchema, versionSchema } from "../projects/schema.js";

const MAX_SETTINGS_BYTES = 16 * 1024;

/** Names by which a careless merge of settings would reach a prototype. */
const REFUSED_NAMES = new Set(["__proto__", "constructor", "prototype"]);

/** Path of the first member, at any depth, that has a refused name. */
function refusedMember(
  value: unknown,
  path: readonly (string | number)[] = [],
): readonly (string | number)[] | undefined {
  if (value === null || typeof value !== "object") return undefined;
  for (const [name, member] of Object.entries(value)) {
    const at = [...path, name];
    if (!Array.isArray(value) && REFUSED_NAMES.has(name)) return at;
    const below = refusedMember(member, at);
    if (below) return below;
  }
  return undefined;
}

const settings = z
  .record(z.string(), z.unknown())
  .superRefine((value, context) => {
    const refused = refusedMember(value);
    if (refused) {
      context.addIssue({ code: "custom", path: [...refused], message: "This member name is not allowed." });
    }
    if (Buffer.byteLength(JSON.stringify(value)) > MAX_SETTINGS_BYTES) {
      context.addIssue({ code: "custom", message: `must have at most ${MAX_SETTINGS_BYTES} bytes as JSON` });
    }
  })
  .meta({ description: "Any JSON object of at most 16 KiB; kept and given back as it is." });

/** `POST` and `PUT` of a workspace. */
export const workspaceBody = z.strictObject({ name: nameSchema, settings: settings.default({}) });

/** `PATCH` of a workspace: what is left out stays, settings are replaced as a whole. */
export const workspacePatchBody = z.strictObject({
  name: nameSchema.optional(),
  settings: settings.optional(),
});

export const workspaceParams = z.strictObject({ workspaceId: idSchema });

/** A workspace as members of its project see it. */
export const workspaceSchema = z
  .strictObject({
    id: z.uuid(),
    projectId: z.uuid(),
    name: z.string(),
    settings: z.record(z.string(), z.unknown()),
    version: versionSchema,
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: "Workspace" });

export type Workspace = z.output<typeof workspaceSchema>;
/** Settings of a workspace. */
export type Settings = Workspace["settings"];
