select id, predict('f', x) from t;
-- reference: select id, f(x) p from t where k = 2
select id, predict('f', x => x) p from t where k = 2;
-- reference: select id, g(x, y) p from t
select id, predict('g', y => y, x => x) p from t;
-- reference: select id, g(x, y) p from t
select id, predict('g', x, y := y) p from t;
-- reference: select id, g(x, y) p from t
select id, predict('g', *) p from t;
-- reference: select id, g(x, y) p from t
select id, predict('g', t.*) p from t;
-- reference: select t.id, f(t.x) p, u.uid from t join u using (k)
select t.id, predict('f', t.*) p, u.uid from t join u using (k);
-- reference: select id, st(x).p p, st(x).l l from t
select id, predict('st', x).p p, predict('st', x).l l from t;
-- reference: select *, st(x).p p, st(x).l l from (select id, x from t where k = 1)
select * from predict('st', (select id, x from t where k = 1));
-- reference: select *, st(x).p p, st(x).l l from t
select * from predict('st', t);
-- reference: select id, f(x) f from t
select id, f from predict('f', t);
-- reference: select q.id, q.l from (select *, st(x).p p, st(x).l l from (select id, x from t)) q join u on q.id = u.uid where q.p > 1
select q.id, q.l from predict('st', (select id, x from t)) q join u on q.id = u.uid where q.p > 1;
-- reference: select id, f(x) p from t
select id, PREDICT('F', x) p from t;
-- reference: select id, f(x) p from t
select id, F(x) p from t;
-- reference: select id, g(x, y) p from t
select id, g(x => x, y => y) p from t;
-- reference: select id, g(f(x), f(y)) p from t
select id, predict('g', predict('f', x), predict('f', y)) p from t;
-- reference: select id, f(x) p from t
select id, predict('f', x /* inside */) p -- trailing
from t /* here */;
from t join u on t.k = u.k select t.id, f(u.z) as p;
from t, u select count(*) where t.k = u.k and f(t.x) > f(u.z);
from t left join u on t.k = u.k and f(u.z) > 4 join w on t.k = w.k select t.id, u.uid, g(w.z, t.y);
from t, lateral (select f(t.x) as p) q select t.id, q.p;
from t, unnest(l) v(i) select t.id, f(v.i);
with c as (from t join u using (k) select id, f(z) as p) from c join t using (id) select p, f(t.x);
select * from (from t semi join u on t.k = u.k and f(u.z) > 2 select id, f(x) as p) where p > 3
