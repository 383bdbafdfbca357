-- Content of binary files is in the blob store under `blob_key`; text files are documents.
alter table files
  add column blob_key   text,
  add column media_type text,
  add column sha256     text,
  add constraint files_content check (
    (kind = 'binary' and blob_key is not null and media_type is not null and sha256 is not null)
    or (kind = 'text' and blob_key is null and media_type is null and sha256 is null)
  );

-- Every blob of a file that may be in the blob store: the row is there before the blob is, and leaves after it.
-- `unused_since` is null while a file names it; a blob nobody named for long enough is deleted.
create table file_blobs (
  key          text primary key,
  unused_since timestamptz
);
create index file_blobs_unused on file_blobs (unused_since) where unused_since is not null;

-- A trigger, because most files go with their workspace or project.
create function free_file_blob() returns trigger language plpgsql as $$
begin
  update file_blobs set unused_since = now() where key = old.blob_key;
  return null;
end
$$;
create trigger files_deleted_free_blob after delete on files
  for each row when (old.blob_key is not null) execute function free_file_blob();
create trigger files_replaced_free_blob after update of blob_key on files
  for each row when (old.blob_key is not null and old.blob_key is distinct from new.blob_key)
  execute function free_file_blob();
