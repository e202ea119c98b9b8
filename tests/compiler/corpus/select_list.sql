select id, f(x) as p from t;
select id, f(x) p, f(x) + 1 q, f(y) r, f(x) * f(y) s from t;
-- scored: f=5
select f(y), f(y), f(y) + f(y) from t;
select *, f(x) as f from t;
select t.*, f(x) p from t;
select * exclude (l, s), f(x) p from t;
select * replace (f(x) as x) from t;
select * rename (x as xx), f(x) p from t;
select id, f(x) as x from t where x > 2;
select f(1.0);
-- scored: f=1
select id, f(2.5) from t;
select id, f(x) is null n, f(x) between 1 and 3 b, f(x) in (1, 2.625) i, not f(x) > 3 from t;
select id, -f(x), abs(f(x)), round(f(x), 1)::integer, cast(f(x) as varchar) from t;
select id, [f(x), f(y)] a, {'k': f(x), 'v': lab(g)} s1, map {'a': f(x)} m from t;
select id, list_value(f(x), f(y))[1] a, struct_pack(a := f(x)).a b from t;
select st(x).p, st(x).l from t;
select id, (st(x)).p as pp from t where st(x).l = 'L1';
select st(x) from t;
select id, unnest(st(x)) from t;
select id, struct_extract(st(x), 'p') from t;
select id, st(x)['l'] from t;
select id, vec(x)[1], vec(x)[2], len(vec(x)) from t;
select id, lab(s) from t;
select id, lab(s) || '-' || lab(g) from t;
select d(x), id from t;
select id, f(x) p, p * 2 q from t;
select id, f(x) p, p + f(y) q, q > 5 r from t;
select id, x as y, f(y) from t;
select id, f(k), g(k, id), f(id % 4), f(b::integer) from t;
select id, f(x + y), f(x - y), f(x * 2), f((x)) from t;
-- reference: select n(k), n((id % 3)::int), n(x::integer) from t
select n(k), n(id % 3), n(x::integer) from t;
-- reference: select id, lab(d::varchar) from t
select id, lab(d) from t;
-- reference: select id, lab(k::varchar) from t
select id, lab(k) from t;
select id, f(x) as "Odd Name", f(y) as "select", f(k) as "quo""te", f(x) as naïve from t;
select f(x), f(x) from t;
select id, id, f(x) p, f(x) p from t;
select id, f(x) filter_ from t;
from t select id, f(x);
from t select f(x) where k = 1;
select (f(x)) from t;
select id, f(coalesce(x, y)), f(case when b then x else y end) from t;
select id, greatest(f(x), f(y)), least(f(x), 3) from t;
select count(*) from (select f(x) p, id from t) q;
select id, f(null) from t;
select id, f(x)::decimal(9, 3), try_cast(lab(g) as integer) from t;
select id, hash(f(x)) = hash(f(x)) from t;
select id, f(x) p from t t2;
select t2.id, f(t2.x) from main.t t2;
select main.t.id, f(main.t.x) from main.t;
select T.ID, F(T.X) as P from T;
select id, list_sum([f(x), f(y)]), list_transform(l, lambda e: e + 1), [e + 1 for e in l] from t
