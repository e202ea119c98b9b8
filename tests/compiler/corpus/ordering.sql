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
select g, f(x) from t order by g nulls last, lab(g), f(x), id limit 20 percent
