-- Files of workspaces. `path_key` is the path as a file system that ignores case would see it. `version` counts changes of
-- the row itself; what readers see adds the head of the document, so that it grows with every edit.
create table files (
  id           uuid primary key,
  workspace_id uuid not null references workspaces (id) on delete cascade,
  path         text not null check (char_length(path) between 1 and 200),
  path_key     text collate "C" not null,
  kind         text not null check (kind in ('text', 'binary')),
  size         bigint not null default 0,
  version      integer not null default 1,
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  updated_by   uuid,
  unique (workspace_id, path_key)
);

-- Paths that were deleted or moved away: an editor that still has the old path open must not bring it back by reconnecting.
create table file_tombstones (
  workspace_id uuid not null references workspaces (id) on delete cascade,
  path_key     text collate "C" not null,
  deleted_at   timestamptz not null,
  primary key (workspace_id, path_key)
);

-- A text file is a document with the same id. `head` is the seq of its last update; the row is locked from the moment a
-- seq is given until COMMIT, so whoever sees seq n sees all before it.
create table documents (
  id         uuid primary key references files (id) on delete cascade,
  head       bigint not null default 0,
  updated_at timestamptz not null,
  updated_by uuid
);

create table document_updates (
  document_id uuid not null references documents (id) on delete cascade,
  seq         bigint not null,
  update      bytea not null,
  user_id     uuid,
  created_at  timestamptz not null,
  primary key (document_id, seq)
);
-- Updates do not compress, and a compressed value costs time on the edit path.
alter table document_updates alter column update set storage external;

create table document_snapshots (
  document_id uuid not null references documents (id) on delete cascade,
  upto_seq    bigint not null,
  state       bytea not null,
  label       text,
  created_at  timestamptz not null,
  primary key (document_id, upto_seq)
);
alter table document_snapshots alter column state set storage external;
