-- Certificates, for nodes that answer to one name, and who is at work on which.

CREATE TABLE certificates (
  key      TEXT COLLATE "C" PRIMARY KEY,  -- a path
  value    BYTEA NOT NULL,
  modified TIMESTAMPTZ NOT NULL
);

CREATE TABLE certificate_locks (
  name   TEXT COLLATE "C" PRIMARY KEY,
  holder TEXT COLLATE "C" NOT NULL,
  until  TIMESTAMPTZ NOT NULL  -- whoever has it says again in time that it lives
);
