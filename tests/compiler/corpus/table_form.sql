-- reference: select *, f(x) f from main.t
select * from predict('f', main.t);
-- reference: select *, f(x) f from memory.main.t
from predict('f', memory.main.t);
-- reference: select *, f(x) f from (select "_p1" as x, "quo""te", "Mixed Case" from "Odd Table")
select * from predict('f', (select "_p1" as x, "quo""te", "Mixed Case" from "Odd Table"));
-- reference: with c as (select id, x from t where k = 2) select *, f(x) f from c
with c as (select id, x from t where k = 2) select * from predict('f', c);
-- reference: with c as (select id, x, y from t) select *, f(x) f, g(x, y) g from c
with c as (select id, x, y from t), d as (select * from predict('f', c)) select * from predict('g', d);
-- reference: select id, f(x) p from t
select a, p from predict('f', (select id, x from t)) as q(a, b, p);
-- reference: select id as a, x, f(x) f from t
select a, x, f from predict('f', (select id, x from t)) as q(a);
-- reference: select u.uid, q.f from u join (select id, f(x) f from t) q on u.uid = q.id
select u.uid, q.f from u join predict('f', t) q on u.uid = q.id;
-- reference: select u.uid, q.f from u left join (select *, f(x) f from t) q on u.uid = q.id and q.f > 5
select u.uid, q.f from u left join predict('f', t) as q on u.uid = q.id and q.f > 5;
-- reference: select u.uid, f.f from u, (select *, f(x) f from t) f where u.uid = f.id and f.f > 2
select u.uid, f.f from u, predict('f', t) where u.uid = f.id and f.f > 2;
-- reference: select t.id, t.f from (select *, f(x) f from t) t
select t.id, t.f from predict('f', t) t;
-- reference: select *, f(x) f from (values (1.5::double), (2)) v(x)
select * from predict('f', (from (values (1.5::double), (2)) v(x)));
-- reference: select *, f(col0) f from (values (1.5::double), (2)) v(col0)
select col0, f from predict('f', (select col0, col0 as x from (values (1.5::double), (2))));
-- reference: select *, f(x) f, st(x).p p, st(x).l l_1 from t
select * from predict('st', predict('f', t));
-- reference: select id, (select max(f(x)) from t) m from t
select id, (select max(f) from predict('f', t)) m from t;
-- reference: select id from t where f(x) > 5
select id from t where id in (select id from predict('f', t) where f > 5);
-- reference: select *, f(x) f from t
select * from f(t);
-- reference: select *, f(x) f from t
select * from ML.PREDICT(MODEL f, TABLE t);
-- reference: select *, f(x) f from (select id, x from t)
select * from ml.predict(model F, (select id, x from t)) as q;
-- reference: select id, f(x) p, g(x, y) r from t
select a.id, a.f p, b.g_1 r from predict('f', t) a join predict('g', main.t) b using (id)
