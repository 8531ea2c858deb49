-- What pg_rewind reads with on the server it takes its pages from.
grant execute on function pg_ls_dir(text, boolean, boolean) to rewind;
grant execute on function pg_stat_file(text, boolean) to rewind;
grant execute on function pg_read_binary_file(text) to rewind;
grant execute on function pg_read_binary_file(text, bigint, bigint, boolean) to rewind;
