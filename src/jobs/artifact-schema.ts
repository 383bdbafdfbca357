import { z } from "zod";
import { timeSchema } from "../projects/schema.js";

/** Names of artifacts: plain file names. */
export const ARTIFACT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** A file a job made. */
export const artifactSchema = z
  .strictObject({
    name: z.string(),
    mediaType: z.string(),
    size: z.int().meta({ description: "Bytes." }),
    sha256: z.string().meta({ description: "Of the content, hex." }),
    createdAt: timeSchema,
  })
  .meta({ id: "JobArtifact" });

/** A file a job made, as replies have it. */
export type Artifact = z.output<typeof artifactSchema>;
