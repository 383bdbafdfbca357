-- The truth about every job; the queue only carries ids. `attempt` counts the starts and is the fencing number: what a
-- run writes, it writes `where attempt = n and status = 'processing'`. `generation` counts the hand-overs to the queue:
-- a delivery with another generation is stale. `enqueued_at` is null while the job waits for one of its owner's slots.
create table jobs (
  id               uuid primary key,
  owner_id         uuid not null references users (id) on delete cascade,
  project_id       uuid references projects (id) on delete cascade,
  workspace_id     uuid references workspaces (id) on delete set null,
  type             text not null,
  payload          jsonb not null,
  status           text not null default 'pending'
                   check (status in ('pending', 'processing', 'completed', 'failed', 'retrying', 'cancelled')),
  priority         smallint not null,
  -- Starts a submission or a manual retry may use; `max_attempts` is the value of `attempt` at which they are used up.
  attempt_budget   integer not null,
  max_attempts     integer not null,
  attempt          integer not null default 0,
  generation       integer not null default 1,
  run_at           timestamptz not null,
  queued_at        timestamptz not null,
  enqueued_at      timestamptz,
  -- By the database's clock: until then the run that holds it is taken for alive.
  lease_until      timestamptz,
  progress         smallint not null default 0 check (progress between 0 and 100),
  progress_message text,
  result           jsonb,
  error            jsonb,
  request_id       text not null,
  version          integer not null default 1,
  created_at       timestamptz not null,
  started_at       timestamptz,
  finished_at      timestamptz
);
create index jobs_of_owner on jobs (owner_id, id);
create index jobs_of_project on jobs (project_id, id) where project_id is not null;
create index jobs_of_workspace on jobs (workspace_id) where workspace_id is not null;
create index jobs_active on jobs (owner_id, enqueued_at) where status in ('pending', 'retrying', 'processing');
create index jobs_waiting on jobs (owner_id, priority, run_at, id)
  where status in ('pending', 'retrying') and enqueued_at is null;

-- What a job said while it ran, in order; bounded per job by the application.
create table job_logs (
  job_id  uuid not null references jobs (id) on delete cascade,
  seq     integer not null,
  attempt integer not null,
  at      timestamptz not null,
  stream  text not null check (stream in ('stdout', 'stderr', 'system')),
  text    text not null,
  primary key (job_id, seq)
);

-- What each worker's sandbox can run, as it probed it; processes without a sandbox answer from here.
create table worker_languages (
  worker_id uuid primary key,
  languages jsonb not null,
  seen_at   timestamptz not null
);
