-- The lab's own roles, database and table. There is no unique constraint on purpose: a write that was carried out twice
-- must be able to show.
create role repl replication login;
create role rewind login;
create role app login;
-- Template and strategy of the old kind: one log record instead of a copy of every page.
create database lab template template0 strategy file_copy;
\connect lab
create table writes(
    n bigserial,
    id bigint not null,
    attempt int not null,
    route text not null,
    at timestamptz not null default clock_timestamp()
);
create index on writes(n);
grant select, insert on writes to app;
grant usage, select on sequence writes_n_seq to app;
-- 300 files that nobody reads. (template1 stays: pg_rewind mends a killed server with it.)
\connect postgres
alter database template0 is_template false;
drop database template0;
