-- What compaction and automatic versions go by. `compacted_seq` is the seq of the newest snapshot, `tail_bytes` what the log
-- holds after it. `dirty_since` is when the first edit came that no version has: only such documents are looked at.
-- `pending_authors` edited after `versioned_seq`, in updates the log no longer has.
alter table documents
  add column compacted_seq   bigint not null default 0,
  add column tail_bytes      bigint not null default 0,
  add column dirty_since     timestamptz,
  add column versioned_seq   bigint not null default 0,
  add column pending_authors uuid[] not null default '{}',
  add column thin_at         timestamptz;

update documents set
  compacted_seq = coalesce(
    (select max(upto_seq) from document_snapshots where document_id = documents.id), 0),
  tail_bytes = coalesce(
    (select sum(octet_length(update)) from document_updates where document_id = documents.id), 0),
  dirty_since = case when head > 0 then updated_at end;

create index documents_dirty on documents (dirty_since) where dirty_since is not null;
create index documents_thin on documents (thin_at) where thin_at is not null;

-- Who compacts a document. `fence` rises each time the lease changes hands; whoever writes must still hold it.
create table document_leases (
  document_id uuid primary key references documents (id) on delete cascade,
  owner       uuid,
  fence       bigint not null,
  expires_at  timestamptz not null
);

-- The text of a document as it was at `seq`. Automatic versions are thinned; `saved` ones are kept, and `before_restore` for a
-- month.
create table document_versions (
  id          uuid primary key,
  document_id uuid not null references documents (id) on delete cascade,
  seq         bigint not null,
  kind        text not null check (kind in ('automatic', 'saved', 'before_restore')),
  label       text check (char_length(label) between 1 and 100),
  content     bytea not null,
  size        bigint not null,
  authors     uuid[] not null,
  created_by  uuid,
  created_at  timestamptz not null
);
create index document_versions_of on document_versions (document_id, seq desc, id desc);
