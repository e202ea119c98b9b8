-- select id from customers where predict('score', tenure, charges) > (select avg(predict('spend', amount)) from orders)

-- duckdb: s1
SELECT
  "orders"."amount" AS "_p1_charges",
  CASE
    WHEN NOT "orders"."amount" IS NULL
    THEN CAST(HASH("orders"."amount" + CAST(0 AS DOUBLE)) AS UINT128) * 18446744073709551616 + HASH(
      XOR(HASH("orders"."amount" + CAST(0 AS DOUBLE)), CAST(6983438112510666596 AS UBIGINT))
    )
  END AS "_p1_key"
FROM "warehouse"."shop"."orders" AS "orders";

-- duckdb: s2
SELECT
  "id",
  "_p2_tenure",
  "_p2_charges",
  CASE
    WHEN NOT "_p2_tenure" IS NULL AND NOT "_p2_charges" IS NULL
    THEN CAST(HASH("_p2_tenure", "_p2_charges" + CAST(0 AS DOUBLE)) AS UINT128) * 18446744073709551616 + HASH(
      XOR(HASH("_p2_tenure"), CAST(6983438112510666596 AS UBIGINT)),
      XOR(HASH("_p2_charges" + CAST(0 AS DOUBLE)), CAST(9160780894979089273 AS UBIGINT))
    )
  END AS "_p2_key"
FROM (
  SELECT
    "id",
    "_p2_tenure",
    CASE
      WHEN "_p2_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE "_p2_charges_raw"
    END AS "_p2_charges"
  FROM (
    SELECT
      "customers"."id" AS "id",
      "customers"."tenure" AS "_p2_tenure",
      "customers"."charges" AS "_p2_charges_raw"
    FROM "warehouse"."shop"."customers" AS "customers"
  ) AS "_raw"
) AS "_cast";

-- duckdb: result
SELECT
  "_s2"."id" AS "id"
FROM "sqlinfer_side"."stage"."subquery__s2_scored" AS "_s2"
WHERE
  "_s2"."_p2" > (
    SELECT
      AVG("_s1"."_p1") AS "avg(predict('spend', amount))"
    FROM "sqlinfer_side"."stage"."subquery__s1_scored" AS "_s1"
  );

-- postgres: s1
SELECT
  "orders"."amount" AS "_p1_charges",
  CASE
    WHEN NOT "orders"."amount" IS NULL
    THEN CAST(ENCODE(
      INT8SEND(HASHFLOAT8EXTENDED("orders"."amount", 2685821657736338717)) || INT8SEND(HASHFLOAT8EXTENDED("orders"."amount", 1946526487930394057)),
      'hex'
    ) AS UUID)
  END AS "_p1_key"
FROM "warehouse"."shop"."orders" AS "orders";

-- postgres: s2
SELECT
  "id",
  "_p2_tenure",
  "_p2_charges",
  CASE
    WHEN NOT "_p2_tenure" IS NULL AND NOT "_p2_charges" IS NULL
    THEN CAST(ENCODE(
      INT8SEND(
        HASHFLOAT8EXTENDED(
          "_p2_charges",
          HASHINT4EXTENDED("_p2_tenure", 2685821657736338717) # 9160780894979089273
        )
      ) || INT8SEND(
        HASHFLOAT8EXTENDED(
          "_p2_charges",
          HASHINT4EXTENDED("_p2_tenure", 1946526487930394057) # 9160780894979089273
        )
      ),
      'hex'
    ) AS UUID)
  END AS "_p2_key"
FROM (
  SELECT
    "id",
    "_p2_tenure",
    CASE
      WHEN "_p2_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE PRECISION)
      ELSE "_p2_charges_raw"
    END AS "_p2_charges"
  FROM (
    SELECT
      "customers"."id" AS "id",
      "customers"."tenure" AS "_p2_tenure",
      "customers"."charges" AS "_p2_charges_raw"
    FROM "warehouse"."shop"."customers" AS "customers"
  ) AS "_raw"
) AS "_cast";

-- postgres: result
SELECT
  "_s2"."id" AS "id"
FROM "sqlinfer_side"."stage"."subquery__s2_scored" AS "_s2"
WHERE
  "_s2"."_p2" > (
    SELECT
      AVG("_s1"."_p1") AS "avg"
    FROM "sqlinfer_side"."stage"."subquery__s1_scored" AS "_s1"
  );

-- spark: s1
SELECT
  `orders`.`amount` AS `_p1_charges`,
  CASE
    WHEN NOT `orders`.`amount` IS NULL
    THEN LPAD(HEX(XXHASH64(`orders`.`amount`)), 16, '0') || LPAD(HEX(XXHASH64(1946526487930394057, `orders`.`amount`)), 16, '0')
  END AS `_p1_key`
FROM `warehouse`.`shop`.`orders` AS `orders`;

-- spark: s2
SELECT
  `id`,
  `_p2_tenure`,
  `_p2_charges`,
  CASE
    WHEN NOT `_p2_tenure` IS NULL AND NOT `_p2_charges` IS NULL
    THEN LPAD(HEX(XXHASH64(`_p2_tenure`, `_p2_charges`)), 16, '0') || LPAD(HEX(XXHASH64(1946526487930394057, `_p2_tenure`, `_p2_charges`)), 16, '0')
  END AS `_p2_key`
FROM (
  SELECT
    `id`,
    `_p2_tenure`,
    CASE
      WHEN `_p2_charges_raw` IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE `_p2_charges_raw`
    END AS `_p2_charges`
  FROM (
    SELECT
      `customers`.`id` AS `id`,
      `customers`.`tenure` AS `_p2_tenure`,
      `customers`.`charges` AS `_p2_charges_raw`
    FROM `warehouse`.`shop`.`customers` AS `customers`
  ) AS `_raw`
) AS `_cast`;

-- spark: result
SELECT
  `_s2`.`id` AS `id`
FROM `sqlinfer_side`.`stage`.`subquery__s2_scored` AS `_s2`
WHERE
  `_s2`.`_p2` > (
    SELECT
      AVG(`_s1`.`_p1`) AS `avg(spend(amount))`
    FROM `sqlinfer_side`.`stage`.`subquery__s1_scored` AS `_s1`
  );

-- databricks: s1
SELECT
  `orders`.`amount` AS `_p1_charges`,
  CASE
    WHEN NOT `orders`.`amount` IS NULL
    THEN MD5(
      CAST(LENGTH(CAST(`orders`.`amount` + CAST(0 AS DOUBLE) AS STRING)) AS STRING) || ':' || CAST(`orders`.`amount` + CAST(0 AS DOUBLE) AS STRING)
    )
  END AS `_p1_key`
FROM `warehouse`.`shop`.`orders` AS `orders`;

-- databricks: s2
SELECT
  `id`,
  `_p2_tenure`,
  `_p2_charges`,
  CASE
    WHEN NOT `_p2_tenure` IS NULL AND NOT `_p2_charges` IS NULL
    THEN MD5(
      CAST(LENGTH(CAST(`_p2_tenure` AS STRING)) AS STRING) || ':' || CAST(`_p2_tenure` AS STRING) || CAST(LENGTH(CAST(`_p2_charges` + CAST(0 AS DOUBLE) AS STRING)) AS STRING) || ':' || CAST(`_p2_charges` + CAST(0 AS DOUBLE) AS STRING)
    )
  END AS `_p2_key`
FROM (
  SELECT
    `id`,
    `_p2_tenure`,
    CASE
      WHEN `_p2_charges_raw` IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE `_p2_charges_raw`
    END AS `_p2_charges`
  FROM (
    SELECT
      `customers`.`id` AS `id`,
      `customers`.`tenure` AS `_p2_tenure`,
      `customers`.`charges` AS `_p2_charges_raw`
    FROM `warehouse`.`shop`.`customers` AS `customers`
  ) AS `_raw`
) AS `_cast`;

-- databricks: result
SELECT
  `_s2`.`id` AS `id`
FROM `sqlinfer_side`.`stage`.`subquery__s2_scored` AS `_s2`
WHERE
  `_s2`.`_p2` > (
    SELECT
      AVG(`_s1`.`_p1`) AS `avg(predict('spend', amount))`
    FROM `sqlinfer_side`.`stage`.`subquery__s1_scored` AS `_s1`
  );

-- snowflake: s1
SELECT
  "ORDERS"."AMOUNT" AS "_p1_charges",
  CASE
    WHEN NOT "ORDERS"."AMOUNT" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("ORDERS"."AMOUNT" + CAST(0 AS DOUBLE) AS VARCHAR)) AS VARCHAR) || ':' || CAST("ORDERS"."AMOUNT" + CAST(0 AS DOUBLE) AS VARCHAR)
    )
  END AS "_p1_key"
FROM "WAREHOUSE"."SHOP"."ORDERS" AS "ORDERS";

-- snowflake: s2
SELECT
  "ID",
  "_p2_tenure",
  "_p2_charges",
  CASE
    WHEN NOT "_p2_tenure" IS NULL AND NOT "_p2_charges" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_p2_tenure" AS VARCHAR)) AS VARCHAR) || ':' || CAST("_p2_tenure" AS VARCHAR) || CAST(LENGTH(CAST("_p2_charges" + CAST(0 AS DOUBLE) AS VARCHAR)) AS VARCHAR) || ':' || CAST("_p2_charges" + CAST(0 AS DOUBLE) AS VARCHAR)
    )
  END AS "_p2_key"
FROM (
  SELECT
    "ID",
    "_p2_tenure",
    CASE
      WHEN "_p2_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE "_p2_charges_raw"
    END AS "_p2_charges"
  FROM (
    SELECT
      "CUSTOMERS"."ID" AS "ID",
      "CUSTOMERS"."TENURE" AS "_p2_tenure",
      "CUSTOMERS"."CHARGES" AS "_p2_charges_raw"
    FROM "WAREHOUSE"."SHOP"."CUSTOMERS" AS "CUSTOMERS"
  ) AS "_raw"
) AS "_cast";

-- snowflake: result
SELECT
  "_s2"."ID" AS "ID"
FROM "sqlinfer_side"."stage"."subquery__s2_scored" AS "_s2"
WHERE
  "_s2"."_p2" > (
    SELECT
      AVG("_s1"."_p1") AS "avg(predict('spend', amount))"
    FROM "sqlinfer_side"."stage"."subquery__s1_scored" AS "_s1"
  );

-- bigquery: s1
SELECT
  `orders`.`amount` AS `_p1_charges`,
  CASE
    WHEN NOT `orders`.`amount` IS NULL
    THEN TO_HEX(
      MD5(
        CAST(LENGTH(CAST(`orders`.`amount` + CAST(0 AS FLOAT64) AS STRING)) AS STRING) || ':' || CAST(`orders`.`amount` + CAST(0 AS FLOAT64) AS STRING)
      )
    )
  END AS `_p1_key`
FROM `warehouse`.`shop`.`orders` AS `orders`;

-- bigquery: s2
SELECT
  `id`,
  `_p2_tenure`,
  `_p2_charges`,
  `_p2_status`,
  CASE
    WHEN NOT `_p2_tenure` IS NULL AND NOT `_p2_charges` IS NULL
    THEN TO_HEX(
      MD5(
        CAST(LENGTH(CAST(`_p2_tenure` AS STRING)) AS STRING) || ':' || CAST(`_p2_tenure` AS STRING) || CAST(LENGTH(CAST(`_p2_charges` + CAST(0 AS FLOAT64) AS STRING)) AS STRING) || ':' || CAST(`_p2_charges` + CAST(0 AS FLOAT64) AS STRING)
      )
    )
  END AS `_p2_key`
FROM (
  SELECT
    `id`,
    SAFE_CAST(`_p2_tenure_raw` AS INT64) AS `_p2_tenure`,
    CASE
      WHEN `_p2_charges_raw` IS NULL
      THEN CAST(0.0 AS FLOAT64)
      ELSE `_p2_charges_raw`
    END AS `_p2_charges`,
    CASE
      WHEN NOT `_p2_tenure_raw` IS NULL AND SAFE_CAST(`_p2_tenure_raw` AS INT64) IS NULL
      THEN 'cast_error:tenure'
      WHEN SAFE_CAST(`_p2_tenure_raw` AS INT64) IS NULL
      OR CASE
        WHEN `_p2_charges_raw` IS NULL
        THEN CAST(0.0 AS FLOAT64)
        ELSE `_p2_charges_raw`
      END IS NULL
      THEN 'null_input'
    END AS `_p2_status`
  FROM (
    SELECT
      `customers`.`id` AS `id`,
      `customers`.`tenure` AS `_p2_tenure_raw`,
      `customers`.`charges` AS `_p2_charges_raw`
    FROM `warehouse`.`shop`.`customers` AS `customers`
  ) AS `_raw`
) AS `_cast`;

-- bigquery: result
SELECT
  `_s2`.`id` AS `id`
FROM `sqlinfer_side`.`stage`.`subquery__s2_scored` AS `_s2`
WHERE
  `_s2`.`_p2` > (
    SELECT
      avg(`_s1`.`_p1`) AS `avg(predict('spend', amount))`
    FROM `sqlinfer_side`.`stage`.`subquery__s1_scored` AS `_s1`
  );

-- redshift: s1
SELECT
  "orders"."amount" AS "_p1_charges",
  CASE
    WHEN NOT "orders"."amount" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("orders"."amount" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("orders"."amount" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))
    )
  END AS "_p1_key"
FROM "warehouse"."shop"."orders" AS "orders";

-- redshift: s2
SELECT
  "id",
  "_p2_tenure",
  "_p2_charges",
  CASE
    WHEN NOT "_p2_tenure" IS NULL AND NOT "_p2_charges" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_p2_tenure" AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("_p2_tenure" AS VARCHAR(MAX)) || CAST(LENGTH(CAST("_p2_charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("_p2_charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))
    )
  END AS "_p2_key"
FROM (
  SELECT
    "id",
    "_p2_tenure",
    CASE
      WHEN "_p2_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE PRECISION)
      ELSE "_p2_charges_raw"
    END AS "_p2_charges"
  FROM (
    SELECT
      "customers"."id" AS "id",
      "customers"."tenure" AS "_p2_tenure",
      "customers"."charges" AS "_p2_charges_raw"
    FROM "warehouse"."shop"."customers" AS "customers"
  ) AS "_raw"
) AS "_cast";

-- redshift: result
SELECT
  "_s2"."id" AS "id"
FROM "sqlinfer_side"."stage"."subquery__s2_scored" AS "_s2"
WHERE
  "_s2"."_p2" > (
    SELECT
      AVG("_s1"."_p1") AS "avg(predict('spend', amount))"
    FROM "sqlinfer_side"."stage"."subquery__s1_scored" AS "_s1"
  );
