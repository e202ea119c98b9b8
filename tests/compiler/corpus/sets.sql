select id, f(x) from t union all select uid, f(z) from u;
select id, f(x) from t union select uid, f(z) from u;
select f(x) from t except select f(z) from u;
select f(x) from t except all select f(z) from u;
select id from t where f(x) > 2 intersect select uid from u where f(z) > 1;
select f(x) from t intersect all select f(z) from u;
select id, f(x) p from t union all by name select f(z) p, uid as id from u;
select id, f(x) p from t union by name select f(z) q, uid as id from u;
(select f(x) p from t) union all (select z from u);
select x p from t union all select f(z) from u union all select f(v) from w;
(select id, f(x) p from t order by id limit 3) union all (select uid, f(z) from u order by uid desc limit 2);
-- ordered
select id, f(x) p from t union all select uid + 100, f(z) from u order by id;
-- ordered
select id, f(x) p from t union all select uid + 100, f(z) from u order by p nulls last, id limit 5;
select f(x) from t union (select f(z) from u except select f(v) from w);
select * from (select f(x) p from t union select f(z) from u) where p > 3;
with c as (select id, f(x) p from t) select * from c where p > 5 union all select * from c where p < 2;
select count(*) from (select f(x) p from t except select f(y) from t) q
