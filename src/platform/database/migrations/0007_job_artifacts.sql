-- Files a job made. The content lies in the blob store under `blob_key`; the row is what makes it one of the job's.
create table job_artifacts (
  job_id     uuid not null references jobs (id) on delete cascade,
  name       text not null,
  attempt    integer not null,
  media_type text not null,
  size       bigint not null,
  sha256     text not null,
  blob_key   text not null unique,
  created_at timestamptz not null,
  primary key (job_id, name)
);

-- Blobs no row needs: noted before the content is written, taken off when its row is, noted again when the row goes (also
-- with its job, project or account). Whoever clears away deletes the blob first and then the note.
create table job_artifact_garbage (
  blob_key text primary key,
  free_at  timestamptz not null
);
create index job_artifact_garbage_due on job_artifact_garbage (free_at);

create function note_job_artifact_garbage() returns trigger language plpgsql as $$
begin
  insert into job_artifact_garbage (blob_key, free_at) values (old.blob_key, now())
  on conflict (blob_key) do update set free_at = excluded.free_at;
  return null;
end $$;
create trigger job_artifact_freed after delete on job_artifacts
  for each row execute function note_job_artifact_garbage();
