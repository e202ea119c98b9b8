-- scored: f=6
select id, case when x > 2 then f(x) else 0 end p from t;
select id, coalesce(x, d(x)) p from t;
select id, if(x > 2, f(x), f(y)) from t;
select id, case when regexp_full_match(s, '[0-9]+') then f(cast(s as integer)) end p from t;
select id, case when not regexp_full_match(s, '[0-9]+') then 0 else f(cast(s as integer)) end p from t;
select sum(case when regexp_full_match(s, '[0-9]+') then f(cast(s as integer)) end) p from t;
-- reference: select k, sum(f(try_cast(s as integer))) filter (where regexp_full_match(s, '[0-9]+')) p from t group by k
select k, sum(f(cast(s as integer))) filter (where regexp_full_match(s, '[0-9]+')) p from t group by k;
select s, case when regexp_full_match(s, '[0-9]+') then f(cast(s as integer)) end p, count(*) from t group by s;
select max(s), case when regexp_full_match(max(s), '[0-9]+') then f(cast(max(s) as integer)) end p from t group by k;
select id, case when regexp_full_match(lag(s) over (order by id), '[0-9]+') then f(cast(lag(s) over (order by id) as integer)) end p from t;
select id from t order by case when regexp_full_match(s, '[0-9]+') then f(cast(s as integer)) end, id;
select id from t qualify row_number() over (order by id) > 0 and case when regexp_full_match(s, '[0-9]+') then f(cast(s as integer)) end > 2;
select id from t where case when regexp_full_match(s, '[0-9]+') then f(cast(s as integer)) > 2 end;
select id, (select case when regexp_full_match(t.s, '[0-9]+') then f(cast(t.s as integer)) end) p from t;
select uid, (select sum(case when regexp_full_match(t.s, '[0-9]+') then f(cast(t.s as integer)) end) from t where t.k = u.k) p from u;
select t.id, u.uid from t left join u on t.k = u.k and case when regexp_full_match(t.s, '[0-9]+') then f(cast(t.s as integer)) > u.z end;
select t.id, u.uid from t join u on t.k = u.k and case when regexp_full_match(t.s, '[0-9]+') then f(cast(t.s as integer)) > u.z end;
select id, case when regexp_full_match(s, '[0-9]+') then case when cast(s as integer) > 3 then f(cast(s as integer)) else f(y) end else f(x) end p from t;
select id, case k when 1 then f(x) when 2 then f(y) else g(x, y) end from t;
select id, coalesce(f(x), f(y), 0) from t;
select id, coalesce(f(x), case when b then g(y, y) end, f(k)) from t;
select id, ifnull(f(x), f(y)) from t;
select id, nullif(f(x), f(y)) from t;
select id, f(x) > 2 and f(y) > 2, f(x) > 2 or f(y) > 2 from t;
select id, case when f(x) > 3 then g(x, y) when f(y) > 2 then d(x) else d(y) end is null from t;
select id, case when f(x) > 3 then f(g(x, y)) end from t;
select id, case when b then f(x) end p, case when not b then f(x) end q from t;
select id, case when b then f(x) end p, f(x) q from t;
select case when count(*) > 100 then f(sum(x)) else 0 end from t;
select id, iff from (select id, case when x is not null then f(1 / x) end iff from t where x <> 0);
select id, if(regexp_full_match(s, '[0-9]+'), f(cast(s as integer)), null) from t;
select id from t where regexp_full_match(s, '[0-9]+') and k in (select k from u where f(z) > 3) and f(cast(s as integer)) > 2;
select q.id, case when q.ok then f(cast(q.s as integer)) end from (select id, s, regexp_full_match(s, '[0-9]+') ok from t) q;
select q.id, q.p from (select id, ok, case when ok then f(cast(s as integer)) end p from (select id, s, regexp_full_match(s, '[0-9]+') ok from t)) q where q.ok;
select id, try(f(cast(s as integer))) from t where regexp_full_match(s, '[0-9]+')
