-- ordered
select id, f(x) p from t where f(x) > 3 and g = 'a' order by p desc, id limit 5;
-- ordered
-- scored: f=4
select id, f(x) p from t order by id desc limit 5;
-- ordered
select id, f(x) p from t order by f(y), id;
-- ordered
select id, f(x) p from t order by 2 nulls last, 1;
-- ordered
select id from t order by f(x) desc nulls last, id limit 3 offset 2;
-- ordered
select id, x from t order by case when b then f(x) else y end, id;
-- ordered
select id, f(x) from t order by x nulls first, id limit 7;
-- ordered
select id, f(x) as x from t order by x nulls first, id limit 7;
-- ordered
select id as x, f(x) p from t order by x limit 4;
-- ordered
select id, f(x) p from t order by all;
-- ordered
select id, f(x) p from t order by p desc nulls first, id offset 25;
-- ordered
select id, f(x) p from t where f(x) > 2 order by id limit 3;
select distinct f(x) from t;
select distinct k, f(x) > 3 from t;
-- ordered
select distinct on (g) g, f(x) p from t order by g, p, id;
-- ordered
select distinct on (f(k)) f(k), id from t order by f(k), id;
-- ordered
select distinct f(k) p, k from t order by p desc, k limit 3;
select id, f(x) p from t where f(x) > 2 limit 1000;
select sum(p) from (select f(x) p from t limit 1000);
select id, f(x) from (select * from t order by id limit 7);
select id, f(x) from (select distinct on (k) * from t order by k, id);
-- ordered
select id from t order by (select max(f(z)) from u where u.k = t.k) nulls last, id;
-- ordered
select id from (select id, f(x) p from t) order by p nulls last, id limit 5;
select count(*) from (select id, f(x) p from t order by p limit 5);
-- ordered
select g, f(x) from t order by g nulls last, lab(g), f(x), id limit 20 percent;
-- ordered
select k, count(*) from t group by k order by f(k), k;
-- ordered
select -x as x, f(y), id from t order by f(x) nulls last, id;
-- ordered
select x as z, f(y), id from t order by f(z) nulls last, abs(z), id;
-- ordered
select g, count(*) from t group by g order by lab(g) desc nulls last limit 2;
select k, count(*) from t group by k having f(k) > 3 order by k;
-- ordered
select k, count(*) c, row_number() over (order by f(k), k) from t group by k qualify f(k) > 1 order by f(k), k;
-- ordered
select k % 3 as kk, count(*) from t group by k % 3 order by f(kk), n(kk::int);
-- ordered
select k, sum(x) from t group by rollup(k) order by f(k) nulls last;
select k, g, sum(x) from t group by grouping sets ((k), (g)) having coalesce(f(k), 0) >= 0 order by f(k);
-- ordered
select count(*), max(k) from t group by k order by f(k), max(k);
-- ordered
select max(x) m from t group by k having f(max(x)) > 2 order by f(m), m;
-- ordered
select f(k) as p, count(*) from t group by p having p > 2 order by f(p), p;
select k, sum(f(k)) over (order by f(k), k) from t group by k;
select distinct on (f(k)) k as kk, id from t order by f(k), f(kk), id
