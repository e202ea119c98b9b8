"""PostgreSQL by ADBC: rows leave and enter the server as Arrow. Nothing durable lies on the client."""
