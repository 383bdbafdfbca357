import type { Role } from "./access.js";

/** The tables of 0003_projects.sql that projects own, and what they read of the accounts. */
export interface ProjectTables {
  projects: {
    id: string;
    name: string;
    description: string | null;
    revision: number;
    version: number;
    created_at: Date;
    updated_at: Date;
  };
  project_members: { project_id: string; user_id: string; role: Role; version: number; joined_at: Date };
  project_invitations: {
    id: string;
    project_id: string;
    email: string;
    role: Role;
    invited_by: string;
    issue: number;
    salt: Buffer;
    created_at: Date;
    expires_at: Date;
  };
  /** Belongs to auth; only read here, for the names and addresses of members. */
  users: { id: string; name: string; email: string };
}
