-- A repetition. Its runs are jobs; at most one of them has not ended, and the next is made when it has.
create table job_schedules (
  id           uuid primary key,
  owner_id     uuid not null references users (id) on delete cascade,
  project_id   uuid references projects (id) on delete cascade,
  workspace_id uuid references workspaces (id) on delete cascade,
  type         text not null,
  payload      jsonb not null,
  priority     smallint not null,
  max_attempts integer not null,
  cron         text not null,
  time_zone    text not null,
  request_id   text not null,
  -- Why it repeats no more; null while it does.
  ended_reason text check (ended_reason in ('cancelled', 'forbidden')),
  created_at   timestamptz not null,
  ended_at     timestamptz
);
create index job_schedules_of_owner on job_schedules (owner_id, id);
create index job_schedules_of_project on job_schedules (project_id, id) where project_id is not null;
create index job_schedules_of_workspace on job_schedules (workspace_id) where workspace_id is not null;
create index job_schedules_active on job_schedules (id) where ended_at is null;

alter table jobs add column schedule_id uuid references job_schedules (id) on delete set null;
create index jobs_of_schedule on jobs (schedule_id, id) where schedule_id is not null;
create unique index jobs_one_of_schedule on jobs (schedule_id)
  where schedule_id is not null and status in ('pending', 'retrying', 'processing');
-- What ended when: for deleting what is over, and for the figures of the queue.
create index jobs_ended on jobs (finished_at) where finished_at is not null;
