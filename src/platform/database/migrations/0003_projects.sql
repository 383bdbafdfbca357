-- `revision` counts every change of the project and of its memberships; each of those rows keeps, as its `version`, the
-- revision of its own last change.
create table projects (
  id          uuid primary key,
  name        text not null,
  description text,
  revision    integer not null default 0,
  version     integer not null default 1,
  created_at  timestamptz not null,
  updated_at  timestamptz not null
);

-- An account cannot be deleted while it is a member: the last Owner would vanish with it.
create table project_members (
  project_id uuid not null references projects (id) on delete cascade,
  user_id    uuid not null references users (id),
  role       text not null check (role in ('owner', 'collaborator', 'viewer')),
  version    integer not null,
  joined_at  timestamptz not null,
  primary key (project_id, user_id)
);
create index project_members_of_user on project_members (user_id, project_id);
create index project_members_by_joining on project_members (project_id, joined_at, user_id);

-- Pending invitations only: one that is accepted, revoked or void is deleted. Nothing here makes a usable link
-- without the application's key.
create table project_invitations (
  id         uuid primary key,
  project_id uuid not null references projects (id) on delete cascade,
  email      text not null,
  role       text not null check (role in ('owner', 'collaborator', 'viewer')),
  invited_by uuid not null references users (id) on delete cascade,
  issue      integer not null default 1,
  salt       bytea not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  unique (project_id, email)
);
create index project_invitations_list on project_invitations (project_id, id);
create index project_invitations_expiry on project_invitations (expires_at);

create table workspaces (
  id         uuid primary key,
  project_id uuid not null references projects (id) on delete cascade,
  name       text not null,
  settings   json not null,
  version    integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index workspaces_of_project on workspaces (project_id, id);
