BEGIN TRANSACTION;
CREATE TABLE _sqlite_migrations
    (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT);
INSERT INTO "_sqlite_migrations" VALUES(1,'visits','release_0_2','2026-12-04 03:38:15+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'visits','release_0_3','2026-12-04 03:38:15+00:00');
CREATE TABLE attempts (
    attempt INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    clock TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    boot_ms INTEGER NOT NULL,
    row_key BLOB,
    verdict TEXT,
    reason TEXT
) STRICT;
CREATE TABLE canaries (
    row_key BLOB NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE carried_time (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    believed_ms INTEGER NOT NULL,
    carried_ms INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    boot_ms INTEGER NOT NULL,
    twice TEXT
) STRICT;
CREATE TABLE clock (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    high_water_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE clock_readings (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    boot_id TEXT NOT NULL,
    accepted_ms INTEGER NOT NULL,
    accepted_boot_ms INTEGER NOT NULL,
    doubt_ms INTEGER,
    doubt_boot_ms INTEGER,
    doubted_boot_ms INTEGER,
    twice TEXT
, leap_ms INTEGER) STRICT;
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    clock TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    boot_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    why TEXT NOT NULL,
    by TEXT NOT NULL
) STRICT;
CREATE TABLE holds (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    since_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    case_number TEXT NOT NULL,
    reason TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    added_ms INTEGER NOT NULL,
    added_by TEXT NOT NULL
) STRICT;
CREATE TABLE hourly (
    hour INTEGER NOT NULL,
    mode TEXT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (hour, mode, kind, outcome)
) STRICT, WITHOUT ROWID;
CREATE TABLE reader (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    spent_ms INTEGER NOT NULL,
    boot_id TEXT,
    boot_ms INTEGER
) STRICT;
CREATE TABLE throttles (
    row_key BLOB NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    boot_id TEXT,
    boot_ms INTEGER,
    touched_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE wrong_pins (
    attempt INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    row_key BLOB,
    patron_ref TEXT,
    answered INTEGER NOT NULL
, at_card INTEGER) STRICT;
CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name
    ON _sqlite_migrations (migration_set, name)
    ;
CREATE INDEX attempts_by_time ON attempts (at_ms);
CREATE INDEX wrong_pins_by_card ON wrong_pins (row_key);
CREATE INDEX wrong_pins_by_patron ON wrong_pins (patron_ref);
CREATE UNIQUE INDEX canaries_by_key ON canaries (row_key);
CREATE INDEX attempts_undated ON attempts (boot_id) WHERE clock = 'untrusted';
CREATE INDEX events_by_time ON events (at_ms);
CREATE INDEX events_undated ON events (boot_id) WHERE clock = 'untrusted';
CREATE TRIGGER clock_readings_changed AFTER UPDATE OF boot_id, accepted_ms, accepted_boot_ms, doubt_ms, doubt_boot_ms, doubted_boot_ms, leap_ms ON clock_readings WHEN new.twice IS NOT coalesce(new.boot_id, '-') || coalesce(new.accepted_ms, '-') || coalesce(new.accepted_boot_ms, '-') || coalesce(new.doubt_ms, '-') || coalesce(new.doubt_boot_ms, '-') || coalesce(new.doubted_boot_ms, '-') || coalesce(new.leap_ms, '-') || '.'
            BEGIN UPDATE clock_readings SET twice = coalesce(new.boot_id, '-') || coalesce(new.accepted_ms, '-') || coalesce(new.accepted_boot_ms, '-') || coalesce(new.doubt_ms, '-') || coalesce(new.doubt_boot_ms, '-') || coalesce(new.doubted_boot_ms, '-') || coalesce(new.leap_ms, '-') || '.' WHERE only = new.only; END;
CREATE TRIGGER clock_readings_put AFTER INSERT ON clock_readings WHEN new.twice IS NOT coalesce(new.boot_id, '-') || coalesce(new.accepted_ms, '-') || coalesce(new.accepted_boot_ms, '-') || coalesce(new.doubt_ms, '-') || coalesce(new.doubt_boot_ms, '-') || coalesce(new.doubted_boot_ms, '-') || coalesce(new.leap_ms, '-') || '.'
            BEGIN UPDATE clock_readings SET twice = coalesce(new.boot_id, '-') || coalesce(new.accepted_ms, '-') || coalesce(new.accepted_boot_ms, '-') || coalesce(new.doubt_ms, '-') || coalesce(new.doubt_boot_ms, '-') || coalesce(new.doubted_boot_ms, '-') || coalesce(new.leap_ms, '-') || '.' WHERE only = new.only; END;
CREATE TRIGGER carried_time_changed AFTER UPDATE OF believed_ms, carried_ms, boot_id, boot_ms ON carried_time WHEN new.twice IS NOT coalesce(new.believed_ms, '-') || coalesce(new.carried_ms, '-') || coalesce(new.boot_id, '-') || coalesce(new.boot_ms, '-') || '.'
            BEGIN UPDATE carried_time SET twice = coalesce(new.believed_ms, '-') || coalesce(new.carried_ms, '-') || coalesce(new.boot_id, '-') || coalesce(new.boot_ms, '-') || '.' WHERE only = new.only; END;
CREATE TRIGGER carried_time_put AFTER INSERT ON carried_time WHEN new.twice IS NOT coalesce(new.believed_ms, '-') || coalesce(new.carried_ms, '-') || coalesce(new.boot_id, '-') || coalesce(new.boot_ms, '-') || '.'
            BEGIN UPDATE carried_time SET twice = coalesce(new.believed_ms, '-') || coalesce(new.carried_ms, '-') || coalesce(new.boot_id, '-') || coalesce(new.boot_ms, '-') || '.' WHERE only = new.only; END;
DELETE FROM "sqlite_sequence";
COMMIT;
PRAGMA user_version = 2;
