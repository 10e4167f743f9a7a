BEGIN TRANSACTION;
CREATE TABLE _sqlite_migrations
    (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT);
INSERT INTO "_sqlite_migrations" VALUES(1,'branch','release_0_2','2026-12-04 03:38:15+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'branch','release_0_3','2026-12-04 03:38:15+00:00');
CREATE TABLE accounts (
    login TEXT NOT NULL PRIMARY KEY,
    shown TEXT NOT NULL,
    role TEXT NOT NULL,
    disabled_ms INTEGER,
    must_change INTEGER NOT NULL,
    origin TEXT NOT NULL,
    subject TEXT UNIQUE,
    password TEXT,
    used_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE alarms (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    why TEXT NOT NULL,
    cleared_ms INTEGER,
    acknowledged_by TEXT,
    acknowledged_ms INTEGER,
    CHECK ((acknowledged_by IS NULL) = (acknowledged_ms IS NULL))
) STRICT;
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT,
    salt BLOB CHECK (length(salt) = 32),
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    CHECK ((record IS NULL) = (salt IS NULL))
) STRICT;
INSERT INTO "audit" VALUES(1,'{"action":"patrons_loaded","at_ms":1796355499552,"by":"root","cards":[],"clock":"trusted","details":{"epoch":1,"full":1,"patrons":2},"patron_ref":null,"why":""}',X'F89C6BFB3E789BC78141C777E556374E728C3593ED3C47974B2EF076232E1F54',X'A9A840621844BBF3310BD4A9C97AE72109BC20C5B82A0623182B126ED08C435C',X'8C5FD4FEBC3A5209677E72EBE287A6063884B1165FB0F152295FAE23395CFCC8');
INSERT INTO "audit" VALUES(2,'{"action":"ban_added","at_ms":1796355502540,"by":"root","cards":["b05fe128ba056b13d34b79fd33cfad53"],"clock":"trusted","details":{"number":1},"patron_ref":"1002","why":"trial"}',X'235CE9661E97F502924DBC765E90BBDBAB901D236A601F0C7FD4DC5EA55B64C2',X'786EB876B1E385601B6588ABA9CD79760980717958F88195E8D9C66960232035',X'E9C3872BD48A255F326B968A89555508A0607A2E0AA1E70308B5BC515D76E4FD');
CREATE TABLE bans (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    row_key BLOB CHECK (length(row_key) = 16),
    patron_ref TEXT CHECK (patron_ref <> ''),
    reason TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER,
    by TEXT NOT NULL,
    branches TEXT NOT NULL,
    note TEXT NOT NULL,
    lifted_ms INTEGER,
    twice TEXT,
    CHECK (row_key IS NOT NULL OR patron_ref IS NOT NULL)
) STRICT;
INSERT INTO "bans" VALUES(1,X'B05FE128BA056B13D34B79FD33CFAD53','1002','trial',1796355502516,1804114800000,'somebody','["proeve"]','',NULL,'X''B05FE128BA056B13D34B79FD33CFAD53''''1002''17963555025161804114800000["proeve"]-.');
CREATE TABLE day_sources (
    source TEXT NOT NULL PRIMARY KEY,
    known_until TEXT,
    fetched_ms INTEGER NOT NULL,
    twice TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE days (
    source TEXT NOT NULL,
    day TEXT NOT NULL,
    spans TEXT NOT NULL,
    note TEXT NOT NULL,
    twice TEXT,
    PRIMARY KEY (source, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE objections (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    row_key BLOB CHECK (length(row_key) = 16),
    patron_ref TEXT CHECK (patron_ref <> ''),
    by TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    reference TEXT NOT NULL,
    decision TEXT NOT NULL,
    reason TEXT NOT NULL,
    decided_ms INTEGER,
    restricts INTEGER NOT NULL,
    CHECK (row_key IS NOT NULL OR patron_ref IS NOT NULL)
) STRICT;
CREATE TABLE overrides (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    mode TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    cause TEXT NOT NULL,
    by TEXT NOT NULL,
    set_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    twice TEXT
, ended_by TEXT) STRICT;
CREATE TABLE passes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    row_key BLOB NOT NULL CHECK (length(row_key) = 16),
    kind TEXT NOT NULL,
    first_day TEXT NOT NULL,
    last_day TEXT NOT NULL,
    weekdays TEXT NOT NULL,
    from_minute INTEGER NOT NULL,
    to_minute INTEGER NOT NULL,
    more_times TEXT NOT NULL,
    outside_hours INTEGER NOT NULL,
    needs_pin INTEGER NOT NULL,
    pin_check BLOB CHECK (length(pin_check) = 32),
    code_digits INTEGER,
    companions_max INTEGER NOT NULL,
    label TEXT NOT NULL,
    revoked_ms INTEGER,
    twice TEXT
) STRICT;
CREATE TABLE restrictions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    row_key BLOB CHECK (length(row_key) = 16),
    patron_ref TEXT CHECK (patron_ref <> ''),
    since_ms INTEGER NOT NULL,
    by TEXT NOT NULL,
    twice TEXT,
    CHECK (row_key IS NOT NULL OR patron_ref IS NOT NULL)
) STRICT;
CREATE TABLE second_factors (
    account TEXT NOT NULL PRIMARY KEY REFERENCES accounts (login) ON DELETE CASCADE,
    secret BLOB NOT NULL,
    step INTEGER NOT NULL,
    recovery BLOB NOT NULL CHECK (length(recovery) % 32 = 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    account TEXT NOT NULL REFERENCES accounts (login) ON DELETE CASCADE,
    boot_id TEXT NOT NULL,
    began_boot_ms INTEGER NOT NULL,
    seen_boot_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE settings (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "settings" VALUES('deleted_by_ms','1796355502540');
CREATE TABLE sign_in_failures (
    mark BLOB NOT NULL PRIMARY KEY CHECK (length(mark) = 8),
    count INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    boot_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sign_in_salt (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    salt BLOB NOT NULL CHECK (length(salt) = 32)
) STRICT;
INSERT INTO "sign_in_salt" VALUES(1,X'6836CA8571E429856FF06616350F91A3037B38C6A0ACEA361CF262B296E3D6B7');
CREATE TABLE tombstone_salt (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    salt BLOB NOT NULL CHECK (length(salt) = 16)
) STRICT;
INSERT INTO "tombstone_salt" VALUES(1,X'351C6449719CF9882D70A6988DEDA37F');
CREATE TABLE tombstones (
    mark BLOB NOT NULL PRIMARY KEY CHECK (length(mark) = 16),
    erasure INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    erased_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE week (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    spans TEXT NOT NULL,
    twice TEXT
) STRICT;
CREATE TABLE wrong_pins_elsewhere (
    patron_ref TEXT NOT NULL PRIMARY KEY,
    wrong INTEGER NOT NULL,
    day TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name
    ON _sqlite_migrations (migration_set, name)
    ;
CREATE INDEX bans_by_card ON bans (row_key);
CREATE INDEX bans_by_patron ON bans (patron_ref);
CREATE INDEX passes_by_card ON passes (row_key);
CREATE INDEX restrictions_by_card ON restrictions (row_key);
CREATE INDEX restrictions_by_patron ON restrictions (patron_ref);
CREATE INDEX sessions_by_account ON sessions (account);
CREATE UNIQUE INDEX alarms_standing ON alarms (kind) WHERE cleared_ms IS NULL;
CREATE INDEX audit_by_time ON audit (json_extract(record, '$.at_ms'))
        WHERE record IS NOT NULL
        ;
CREATE TRIGGER bans_changed AFTER UPDATE OF row_key, patron_ref, since_ms, until_ms, branches, lifted_ms ON bans WHEN new.twice IS NOT quote(new.row_key) || quote(new.patron_ref) || coalesce(new.since_ms, '-') || coalesce(new.until_ms, '-') || coalesce(new.branches, '-') || coalesce(new.lifted_ms, '-') || '.'
            BEGIN UPDATE bans SET twice = quote(new.row_key) || quote(new.patron_ref) || coalesce(new.since_ms, '-') || coalesce(new.until_ms, '-') || coalesce(new.branches, '-') || coalesce(new.lifted_ms, '-') || '.' WHERE number = new.number; END;
CREATE TRIGGER bans_put AFTER INSERT ON bans WHEN new.twice IS NOT quote(new.row_key) || quote(new.patron_ref) || coalesce(new.since_ms, '-') || coalesce(new.until_ms, '-') || coalesce(new.branches, '-') || coalesce(new.lifted_ms, '-') || '.'
            BEGIN UPDATE bans SET twice = quote(new.row_key) || quote(new.patron_ref) || coalesce(new.since_ms, '-') || coalesce(new.until_ms, '-') || coalesce(new.branches, '-') || coalesce(new.lifted_ms, '-') || '.' WHERE number = new.number; END;
CREATE TRIGGER passes_changed AFTER UPDATE OF row_key, kind, first_day, last_day, weekdays, from_minute, to_minute, more_times, outside_hours, needs_pin, pin_check, code_digits, companions_max, revoked_ms ON passes WHEN new.twice IS NOT quote(new.row_key) || coalesce(new.kind, '-') || coalesce(new.first_day, '-') || coalesce(new.last_day, '-') || coalesce(new.weekdays, '-') || coalesce(new.from_minute, '-') || coalesce(new.to_minute, '-') || coalesce(new.more_times, '-') || coalesce(new.outside_hours, '-') || coalesce(new.needs_pin, '-') || quote(new.pin_check) || coalesce(new.code_digits, '-') || coalesce(new.companions_max, '-') || coalesce(new.revoked_ms, '-') || '.'
            BEGIN UPDATE passes SET twice = quote(new.row_key) || coalesce(new.kind, '-') || coalesce(new.first_day, '-') || coalesce(new.last_day, '-') || coalesce(new.weekdays, '-') || coalesce(new.from_minute, '-') || coalesce(new.to_minute, '-') || coalesce(new.more_times, '-') || coalesce(new.outside_hours, '-') || coalesce(new.needs_pin, '-') || quote(new.pin_check) || coalesce(new.code_digits, '-') || coalesce(new.companions_max, '-') || coalesce(new.revoked_ms, '-') || '.' WHERE number = new.number; END;
CREATE TRIGGER passes_put AFTER INSERT ON passes WHEN new.twice IS NOT quote(new.row_key) || coalesce(new.kind, '-') || coalesce(new.first_day, '-') || coalesce(new.last_day, '-') || coalesce(new.weekdays, '-') || coalesce(new.from_minute, '-') || coalesce(new.to_minute, '-') || coalesce(new.more_times, '-') || coalesce(new.outside_hours, '-') || coalesce(new.needs_pin, '-') || quote(new.pin_check) || coalesce(new.code_digits, '-') || coalesce(new.companions_max, '-') || coalesce(new.revoked_ms, '-') || '.'
            BEGIN UPDATE passes SET twice = quote(new.row_key) || coalesce(new.kind, '-') || coalesce(new.first_day, '-') || coalesce(new.last_day, '-') || coalesce(new.weekdays, '-') || coalesce(new.from_minute, '-') || coalesce(new.to_minute, '-') || coalesce(new.more_times, '-') || coalesce(new.outside_hours, '-') || coalesce(new.needs_pin, '-') || quote(new.pin_check) || coalesce(new.code_digits, '-') || coalesce(new.companions_max, '-') || coalesce(new.revoked_ms, '-') || '.' WHERE number = new.number; END;
CREATE TRIGGER restrictions_changed AFTER UPDATE OF row_key, patron_ref ON restrictions WHEN new.twice IS NOT quote(new.row_key) || quote(new.patron_ref) || '.'
            BEGIN UPDATE restrictions SET twice = quote(new.row_key) || quote(new.patron_ref) || '.' WHERE number = new.number; END;
CREATE TRIGGER restrictions_put AFTER INSERT ON restrictions WHEN new.twice IS NOT quote(new.row_key) || quote(new.patron_ref) || '.'
            BEGIN UPDATE restrictions SET twice = quote(new.row_key) || quote(new.patron_ref) || '.' WHERE number = new.number; END;
CREATE TRIGGER overrides_changed AFTER UPDATE OF mode, until_ms, ended_ms ON overrides WHEN new.twice IS NOT coalesce(new.mode, '-') || coalesce(new.until_ms, '-') || coalesce(new.ended_ms, '-') || '.'
            BEGIN UPDATE overrides SET twice = coalesce(new.mode, '-') || coalesce(new.until_ms, '-') || coalesce(new.ended_ms, '-') || '.' WHERE number = new.number; END;
CREATE TRIGGER overrides_put AFTER INSERT ON overrides WHEN new.twice IS NOT coalesce(new.mode, '-') || coalesce(new.until_ms, '-') || coalesce(new.ended_ms, '-') || '.'
            BEGIN UPDATE overrides SET twice = coalesce(new.mode, '-') || coalesce(new.until_ms, '-') || coalesce(new.ended_ms, '-') || '.' WHERE number = new.number; END;
CREATE TRIGGER days_changed AFTER UPDATE OF source, day, spans ON days WHEN new.twice IS NOT coalesce(new.source, '-') || coalesce(new.day, '-') || coalesce(new.spans, '-') || '.'
            BEGIN UPDATE days SET twice = coalesce(new.source, '-') || coalesce(new.day, '-') || coalesce(new.spans, '-') || '.' WHERE source = new.source AND day = new.day; END;
CREATE TRIGGER days_put AFTER INSERT ON days WHEN new.twice IS NOT coalesce(new.source, '-') || coalesce(new.day, '-') || coalesce(new.spans, '-') || '.'
            BEGIN UPDATE days SET twice = coalesce(new.source, '-') || coalesce(new.day, '-') || coalesce(new.spans, '-') || '.' WHERE source = new.source AND day = new.day; END;
CREATE TRIGGER day_sources_changed AFTER UPDATE OF source, known_until ON day_sources WHEN new.twice IS NOT coalesce(new.source, '-') || coalesce(new.known_until, '-') || '.'
            BEGIN UPDATE day_sources SET twice = coalesce(new.source, '-') || coalesce(new.known_until, '-') || '.' WHERE source = new.source; END;
CREATE TRIGGER day_sources_put AFTER INSERT ON day_sources WHEN new.twice IS NOT coalesce(new.source, '-') || coalesce(new.known_until, '-') || '.'
            BEGIN UPDATE day_sources SET twice = coalesce(new.source, '-') || coalesce(new.known_until, '-') || '.' WHERE source = new.source; END;
CREATE TRIGGER audit_grows BEFORE INSERT ON audit
        WHEN NEW.record IS NULL
            OR NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit)
        BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log loses no entry'); END;
CREATE TRIGGER audit_erases BEFORE UPDATE ON audit
        WHEN NEW.record IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.number IS NOT OLD.number
            OR NEW.commitment IS NOT OLD.commitment OR NEW.hash IS NOT OLD.hash
        BEGIN SELECT RAISE(ABORT, 'a record of the audit log can only be erased'); END;
CREATE TRIGGER week_changed AFTER UPDATE OF spans ON week WHEN new.twice IS NOT coalesce(new.spans, '-') || '.'
            BEGIN UPDATE week SET twice = coalesce(new.spans, '-') || '.' WHERE only = new.only; END;
CREATE TRIGGER week_put AFTER INSERT ON week WHEN new.twice IS NOT coalesce(new.spans, '-') || '.'
            BEGIN UPDATE week SET twice = coalesce(new.spans, '-') || '.' WHERE only = new.only; END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',2);
INSERT INTO "sqlite_sequence" VALUES('bans',1);
COMMIT;
PRAGMA user_version = 2;
