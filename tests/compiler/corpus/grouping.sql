select count(*), avg(f(x)) from t;
select g, avg(f(x)) a from t group by g;
select g, f(avg(x)) p from t group by g having p > 1;
-- ordered
select g, f(avg(x)) p, count(*) from t group by g having count(*) > 3 order by p nulls last, g;
select f(x) as p, count(*) from t group by p;
-- ordered
select f(x) as p, count(*) from t group by 1 order by 2, 1;
select f(x), count(*) from t group by all;
select f(k) p, sum(x) from t group by k;
select f(k) p, sum(x) from t group by f(k), k;
select f(k), sum(x) from t group by f(k);
select f(k) + 1 from t group by f(k);
select g, k, f(sum(x)) p from t group by rollup (g, k);
select g, k, sum(f(x)) p from t group by cube (g, k);
select g, k, max(f(x)), f(max(x)) p from t group by grouping sets ((g), (k), ());
select f(k) p, g, count(*) from t group by rollup (f(k), g);
select g, grouping(g), f(sum(x)) from t group by rollup (g);
select id from t group by id having f(id) > 3;
-- ordered
select k, sum(f(x)) s1 from t group by k having sum(f(x)) > 20 order by s1, k;
select g, sum(f(x)) filter (where f(y) > 2) s1 from t group by g;
select g, sum(x) filter (where f(y) > 2) s1 from t group by g;
select g, sum(f(x)) filter (where k > 2) s1 from t group by g;
select g, count(*) filter (f(x) > 3), count(*) filter (where f(x) is null) from t group by g;
select count(distinct f(x)), count(distinct lab(g)) from t;
select string_agg(lab(g), ',' order by id) from t;
select k, string_agg(g, ',' order by f(x), id) from t group by k;
select list(f(x) order by id) from t;
select k, arg_max(id, f(x) * 100 + id) from t group by k;
select k, quantile_cont(f(x), 0.5), median(f(y)) from t group by k;
select k, mode() within group (order by lab(g)) from t where g = 'a' group by k;
select max(f(x)) - min(f(x)) d1 from t where k = 99;
select f(sum(f(x))) from t;
select g, f(sum(x)), f(sum(f(x))), f(f(max(x))) from t group by g;
select g, case when count(*) > 5 then f(sum(x)) else 0 end from t group by g;
select g, k, f(k) from t group by g, k having f(k) > 2 and count(*) > 1;
select f(k), f(sum(x)) from t group by k having f(sum(x)) > f(k);
select g, max(x) from t group by g having max(f(x)) > 3;
select count(*) from t having f(count(*)) > 1;
select f(count(*)) from e;
select sum(f(z)) from e;
select g, f(z) from e group by g, z;
select q.p, count(*) from (select f(x) p from t) q group by q.p;
select k % 2 as h, sum(f(x)), f(k % 2) from t group by h;
select lab(g) as g, count(*) from t group by t.g;
select x > 2 as big, sum(f(x)) from t group by big;
select g, any_value(lab(g)) from t group by g;
select g, first(f(k) order by id) from t group by g;
select g from t group by g, f(y) having f(y) > 2;
-- ordered
select g, sum(f(x)) from t group by g order by sum(f(x)) desc nulls last, g;
-- ordered
select g from t group by g order by f(count(*)), g;
select sum(case when f(x) > 3 then 1 else 0 end), sum(f(x) * y) / nullif(count(f(x)), 0) from t;
select g, count(*) from t where f(x) > 1 group by g having count(*) > 1;
select f(x) > (select avg(z) from u) as high, count(*) from t group by 1;
select f(x) > (select avg(f(x)) from t) as high, count(*) from t group by high having count(*) > 1 order by high;
select f(x) in (select f(z) from u) as known, k, sum(f(y)) from t group by all;
select f(x) > (select max(u.z) from u where u.k = t.k) as high, count(*), f(max(t.y)) from t where f(y) > 2 group by high;
select exists (select 1 from u where u.k = t.k and f(u.z) > 5) as has_some, t.g, count(*) from t group by grouping sets ((has_some), (t.g), (has_some, t.g));
with s as (select case when f(x) > (select avg(z) from u) then 'a' else 'b' end as c, y from t) select c, count(*), sum(f(y)) from s group by c;
select t.k in (select k from w where f(v) > 4) as c, u.g, sum(f(u.z)) from t join u using (k) group by 1, 2 order by 1, 2;
select lab(s), k, count(*) from t group by grouping sets ((1), (k), ());
select lab(s), k, count(*) from t group by rollup(1, 2);
select g, k as r, count(*), f(max(x)) from t group by cube(1, r);
select g, k, count(*), f(max(x)) from t group by grouping sets ((1, 2), (2))
