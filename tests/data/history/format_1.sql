-- A store as gridedge wrote it before entries had a basis (format 1): three minutes, a curtailment in each.
BEGIN TRANSACTION;
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "about" VALUES('format','1');
INSERT INTO "about" VALUES('site','demo');
CREATE TABLE curtailment (seq INTEGER PRIMARY KEY, from_utc TEXT NOT NULL, to_utc TEXT NOT NULL, unit TEXT NOT NULL, cause TEXT NOT NULL, principle TEXT NOT NULL, rank TEXT NOT NULL, energy_wh TEXT NOT NULL, most_w TEXT NOT NULL, lasted_s TEXT NOT NULL, loading_frac TEXT NOT NULL, salt TEXT NOT NULL, content TEXT, chain TEXT);
INSERT INTO "curtailment" VALUES(1,'2026-06-01T12:00:00Z','2026-06-01T12:01:00Z','PVA','T1.thermal','merit','2','12.500','750000.0','60.0','0.9900','5d2ba537d74c4d9c','4254552135db5800f0f5b45a8918a86a162e18a14b7b1b884958fa850267bb7d','b5cd2c52ccc833bfee3686faec192cc35ae9b0c096648ee82ed34222eeed7d94');
INSERT INTO "curtailment" VALUES(2,'2026-06-01T12:01:00Z','2026-06-01T12:02:00Z','PVA','T1.thermal','merit','2','13.500','750000.0','60.0','0.9900','29b96a2c4b882a5a','bde6cb7b061ca03e06f8fc751124242df0a9486302610de36d81ec928978fd90','689f11dda40e0812fe842d4ddc4ad310d5388c99e29e80af6bcb94904bca582d');
INSERT INTO "curtailment" VALUES(3,'2026-06-01T12:02:00Z','2026-06-01T12:03:00Z','PVA','T1.thermal','merit','2','14.500','750000.0','60.0','0.9900','140cdf19e2e5602b','ba47a50295e4bc1f8de894b7b4fea441a57ec4d2a0f99a000afd51f038a88ef5','9147bf25ce2d6a683ea525bd246039ccb1a2181ebeeea3a93b6b8be0d4ec3bce');
CREATE TABLE event (
  id INTEGER PRIMARY KEY, utc_s REAL NOT NULL, name TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE gap (
  id INTEGER PRIMARY KEY, from_utc_s REAL NOT NULL, to_utc_s REAL NOT NULL, lost INTEGER NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, priority INTEGER NOT NULL,
  utc_s REAL NOT NULL, body BLOB NOT NULL
);
CREATE TABLE outbox_size (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL);
INSERT INTO "outbox_size" VALUES(1,1949);
CREATE TABLE period (
  start_utc_s INTEGER, part INTEGER, period_s INTEGER NOT NULL, PRIMARY KEY (start_utc_s, part)
) WITHOUT ROWID;
INSERT INTO "period" VALUES(1780315200,0,60);
INSERT INTO "period" VALUES(1780315260,0,60);
INSERT INTO "period" VALUES(1780315320,0,60);
CREATE TABLE point (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO "point" VALUES(1,'unit.U0.p_w');
CREATE TABLE sample (
  start_utc_s INTEGER, part INTEGER, point INTEGER, n INTEGER NOT NULL, mean REAL NOT NULL, low REAL NOT NULL,
  high REAL NOT NULL, PRIMARY KEY (start_utc_s, part, point)
) WITHOUT ROWID;
INSERT INTO "sample" VALUES(1780315200,0,1,60,0.0,-1.0,1.0);
INSERT INTO "sample" VALUES(1780315260,0,1,60,1.0,0.0,2.0);
INSERT INTO "sample" VALUES(1780315320,0,1,60,2.0,1.0,3.0);
CREATE INDEX outbox_order ON outbox (priority, id);
CREATE TRIGGER outbox_grows AFTER INSERT ON outbox BEGIN
  UPDATE outbox_size SET bytes = bytes + length(new.body) + 128;
END;
CREATE TRIGGER outbox_shrinks AFTER DELETE ON outbox BEGIN
  UPDATE outbox_size SET bytes = bytes - length(old.body) - 128;
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',6);
COMMIT;
