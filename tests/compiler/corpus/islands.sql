-- scored: f=6
select t.id, u.uid from t, u where f(t.k) = f(u.k);
-- scored: f=6
select t.id, u.uid from t, u where f(t.k) = u.z;
-- scored: f=3
select t.id, f(t.k) from t join u on f(t.k) = u.z where t.g = 'a' and u.z > 0;
-- scored: f=3
select t.id, u.uid from t, u, w where f(t.k) = u.z and t.k = w.k;
-- scored: f=6 n=3
select t.id, u.uid, w.v from t, u, w where f(t.k) = u.z and n(w.k) = t.k;
-- scored: f=6
select t.id, u.uid from t left join u on f(t.k) = u.z;
-- scored: f=12
select t.id, f(u.z) from t left join u on t.k = f(u.z);
-- scored: d=5
select t.id, d(u.z) from t left join u on t.k = d(u.z) and u.g = 'a';
select t.id, d(u.z) from t left join u on t.k = d(u.z) - 100 and u.g = 'a';
select t.id, d(u.z) p from t left join u on t.k = u.k and u.uid > 3 left join w on d(u.z) - 100 = w.v;
select t.id, d(u.z) p, w.v from t left join u on t.id = u.uid right join w on d(u.z) - 100 = w.k;
select t.id, u.uid from t full join u on f(t.k) = d(u.z) - 100 and u.g = 'a';
select t.id, u.uid from t right join u on f(t.k) = u.z and t.b;
-- scored: f=6
select t.id from t semi join u on f(t.k) = u.z;
select t.id from t anti join u on f(t.k) = f(u.z);
select t.id from t where t.k in (select f(u.z) from u where u.g = 'a');
select t.id from t where f(t.k) in (select u.z from u);
select t.id from t where not exists (select 1 from u where u.z = f(t.k));
select t.id from t where exists (select 1 from u, w where f(u.z) = t.k and n(w.k) = u.k);
-- scored: f=11
select count(*) from t a, t b2 where f(a.x) = f(b2.x) and a.k = 1;
-- scored: g=20
select a.id, b2.id from t a, t b2, u where g(a.x, b2.y) = u.z and a.k = 1 and b2.k = 2;
-- scored: f=6
select t.k, count(*), f(t.k) from t, u where f(t.k) = u.z group by t.k having f(t.k) > 0 order by f(t.k);
select f(t.k) p, count(*) from t, u where f(t.k) = u.z group by f(t.k) order by p;
-- scored: f=9
select t.id from t, u where case when t.k > 2 then f(t.x) end = u.z;
select t.id from t, u where case when u.k > 2 then f(t.x) end = u.z;
select t.id, u.uid from t, u where case when t.s ~ '^[0-9]+$' then f(cast(t.s as int)) end = u.z;
select t.id, u.uid from t, u where case when u.g = 'a' and t.s ~ '^[0-9]+$' then f(cast(t.s as int)) end = u.z;
select t.id from t, u where t.k = 2 or f(t.x) = u.z;
select t.id, u.uid, w.v from t left join u on f(t.k) = u.z left join w on f(u.z) = w.v;
select t.id, u.uid, w.v from t join u on f(t.k) = u.z right join w on f(u.z) = w.v;
select t.id, q.v from t, unnest(t.l) q(v), u where f(q.v) = u.z;
select t.id, q.m from t, lateral (select max(u.z) m from u where u.k = t.k) q, w where f(q.m) = w.v;
-- scored: lab=3 f=6
select t.id, u.uid from t, u where f(t.x) = u.z and lab(t.g) = 'a1';
select a.id, b2.uid, c.v from t a, u b2 left join w c on b2.k = c.k where f(a.k) = b2.z and a.g = b2.g;
select t.id, u.uid from t join u on t.id = u.uid and f(t.k) = u.z join w on f(w.k) = u.z;
select a.x, a.y, b2.x from (select id x, f(k) y from t) a, (select k x, f(z) y from u) b2 where a.y = b2.y;
select max(t.id) over (partition by u.uid) m, u.uid from t, u where f(t.k) = u.z order by f(u.z), m;
select (select count(*) from t, w where u.k = f(t.k) and n(t.k) = w.z and lab(t.g) = 'a1') c, uid from u;
-- scored: f=4
select t.id, u.uid from t, u where (t.k = u.k and t.g = 'a') or (t.k = u.k and t.id = 7 and f(t.id) > 1)
  or (u.k = t.k and t.b and t.k = 2 and f(t.id) > 2);
select t.id, u.uid from t, u where (t.k = u.k and t.g = 'a') or (u.k = t.k and f(t.x) > 1);
-- scored: f=4
select t.id, u.uid from t, u where (t.k = 1 and u.k = 2) or (t.k = 3 and u.k = 1 and f(t.x) > 1);
select t.id from t where not ((t.k <> 1 or f(t.x) > 3) and (t.k <> 2 or f(t.y) > 3));
select t.id, u.uid from t left join u on (t.k = u.k and u.z > 5) or (t.k = u.k and f(u.z) > 3);
select t.k, sum(x) from t group by k having (k = 1 and sum(x) > 1) or (k = 2 and f(k) > 1);
select * from (select k, f(sum(x)) p from t group by k) q where (k = 1 and p > 1) or (k = 3 and p > 0);
select t.id, u.uid from t, u where t.k = u.k and (f(t.x) > 4 or u.z is null or t.x is null);
-- scored: f=11
select t.id, u.uid from t, u where t.k = u.k and f(t.x) = u.z;
select t.id, u.uid from t, u where t.k = u.k and f(t.x) = f(u.z) and u.g = 'b';
select t.id, u.uid, w.v from t, u, w where t.k = u.k and u.k = w.k and f(t.x) = w.v;
select t.id, u.uid, w.v from t, u, w where t.k = u.k and t.k = w.k and f(t.x) = u.z and w.v > 0;
select t.id, f(t.x), u.uid from t, u where t.k = u.k and f(t.x) = u.z and lab(t.g) = 'a1';
select t.id from t, u where t.id < u.uid and f(t.x) = u.z;
select t.id from t, (select * from u where k > 1) u2 where t.k = u2.k and f(t.x) = u2.z;
select t.id, w.v from t join u on t.k = u.k left join w on w.k = u.k where f(u.z) = t.x;
select t.id from t, u where t.k = u.k and case when u.z > 3 then f(t.x) end = u.z;
select t.k, count(*) from t, u where t.k = u.k and f(t.x) = u.z group by t.k order by f(t.k);
select uid from u where exists (select 1 from t, w where t.k = w.k and f(t.x) = w.v and t.k = u.k);
select t.id, u.uid, w.v from t join u on (f(t.k) = u.z) left join w on (f(w.k) = t.k and w.z = t.y)
  where t.d = date '2026-01-02' and (t.k = u.k);
select t.id, u.uid, w.v from t join u on t.k = u.k left join w on f(w.k) > t.x and w.z = t.y where t.id < 9 and u.uid > 1;
select t.id, u.uid from t, u where (select true) and f(t.k) = u.z;
select t.id from t where (select true) and f(t.k) > 1 and ((select max(k) > 1 from u))
