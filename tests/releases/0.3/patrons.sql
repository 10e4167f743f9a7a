BEGIN TRANSACTION;
CREATE TABLE _sqlite_migrations
    (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT);
INSERT INTO "_sqlite_migrations" VALUES(1,'patrons','release_0_2','2026-12-04 03:38:15+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'patrons','release_0_3','2026-12-04 03:38:15+00:00');
CREATE TABLE asked (
    row_key BLOB NOT NULL PRIMARY KEY CHECK (length(row_key) = 16),
    pin_check BLOB NOT NULL CHECK (length(pin_check) = 32),
    patron_ref TEXT NOT NULL,
    resident INTEGER NOT NULL,
    active INTEGER NOT NULL,
    blocks TEXT NOT NULL,
    restricted INTEGER NOT NULL,
    enter_from TEXT,
    valid_until TEXT,
    hold_from TEXT,
    hold_until TEXT,
    tags TEXT NOT NULL,
    weak_pin INTEGER NOT NULL,
    learnt_on TEXT NOT NULL,
    good_until TEXT NOT NULL,
    asked_until TEXT NOT NULL,
    twice TEXT
, key_sum INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE cache (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL,
    applied_at TEXT,
    minimum_age INTEGER NOT NULL,
    patrons INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    memory_kib INTEGER NOT NULL,
    iterations INTEGER NOT NULL,
    digest TEXT NOT NULL DEFAULT '',
    twice TEXT
, incomplete INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "cache" VALUES(1,1,'2026-12-04T03:38:19.466321+00:00',14,2,'976990f8',8,1,'','1''2026-12-04T03:38:19.466321+00:00''14.',0);
CREATE TABLE learnt (
    row_key BLOB NOT NULL PRIMARY KEY REFERENCES patrons ON DELETE CASCADE,
    pin_check BLOB NOT NULL CHECK (length(pin_check) = 32),
    weak_pin INTEGER NOT NULL,
    learnt_on TEXT NOT NULL,
    good_until TEXT NOT NULL,
    twice TEXT
, key_sum INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE patrons (
    row_key BLOB NOT NULL PRIMARY KEY CHECK (length(row_key) = 16),
    pin_check BLOB CHECK (length(pin_check) = 32),
    patron_ref TEXT NOT NULL,
    resident INTEGER NOT NULL,
    active INTEGER NOT NULL,
    blocks TEXT NOT NULL,
    restricted INTEGER NOT NULL,
    enter_from TEXT,
    valid_until TEXT,
    hold_from TEXT,
    hold_until TEXT,
    tags TEXT NOT NULL,
    weak_pin INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    twice TEXT
, key_sum INTEGER) STRICT, WITHOUT ROWID;
INSERT INTO "patrons" VALUES(X'8E296526F3667801266482CA44E4830D',X'E002EFCBACD61ADB622AFF24D03129AD753FB344AE2ABEE23B2D53AC5534D1CA','1001',1,1,'[]',0,NULL,NULL,NULL,NULL,'[]',0,1,'''1001''11[]0----[]0.',1055126635);
INSERT INTO "patrons" VALUES(X'B05FE128BA056B13D34B79FD33CFAD53',X'144F54BB47FF0CB01F31FFE38708515C7E869D77D2BD1C1D57EDA7D67F9FFC55','1002',1,1,'[]',0,NULL,NULL,NULL,NULL,'[]',0,1,'''1002''11[]0----[]0.',433542940);
CREATE TABLE shut_out (
    row_key BLOB NOT NULL PRIMARY KEY CHECK (length(row_key) = 16),
    at TEXT NOT NULL,
    days INTEGER NOT NULL,
    pin_check BLOB CHECK (length(pin_check) = 32)
, reasons TEXT, until TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE shut_out_counts (
    reasons TEXT NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name
    ON _sqlite_migrations (migration_set, name)
    ;
CREATE INDEX patrons_by_ref ON patrons (patron_ref);
CREATE TRIGGER patrons_changed AFTER UPDATE OF patron_ref, resident, active, blocks, restricted, enter_from, valid_until, hold_from, hold_until, tags, weak_pin ON patrons WHEN new.epoch IS old.epoch AND new.twice IS NOT quote(new.patron_ref) || coalesce(new.resident, '-') || coalesce(new.active, '-') || coalesce(new.blocks, '-') || coalesce(new.restricted, '-') || coalesce(new.enter_from, '-') || coalesce(new.valid_until, '-') || coalesce(new.hold_from, '-') || coalesce(new.hold_until, '-') || coalesce(new.tags, '-') || coalesce(new.weak_pin, '-') || '.'
            BEGIN UPDATE patrons SET twice = quote(new.patron_ref) || coalesce(new.resident, '-') || coalesce(new.active, '-') || coalesce(new.blocks, '-') || coalesce(new.restricted, '-') || coalesce(new.enter_from, '-') || coalesce(new.valid_until, '-') || coalesce(new.hold_from, '-') || coalesce(new.hold_until, '-') || coalesce(new.tags, '-') || coalesce(new.weak_pin, '-') || '.' WHERE row_key = new.row_key; END;
CREATE INDEX learnt_by_end ON learnt (good_until);
CREATE TRIGGER learnt_no_more AFTER UPDATE OF pin_check, patron_ref ON patrons
        WHEN old.pin_check IS NULL AND new.pin_check IS NOT NULL
        OR old.patron_ref <> new.patron_ref
        BEGIN DELETE FROM learnt WHERE row_key = new.row_key; END;
CREATE TRIGGER learnt_changed AFTER UPDATE OF weak_pin, good_until ON learnt WHEN new.twice IS NOT coalesce(new.weak_pin, '-') || coalesce(new.good_until, '-') || '.'
            BEGIN UPDATE learnt SET twice = coalesce(new.weak_pin, '-') || coalesce(new.good_until, '-') || '.' WHERE row_key = new.row_key; END;
CREATE TRIGGER learnt_put AFTER INSERT ON learnt WHEN new.twice IS NOT coalesce(new.weak_pin, '-') || coalesce(new.good_until, '-') || '.'
            BEGIN UPDATE learnt SET twice = coalesce(new.weak_pin, '-') || coalesce(new.good_until, '-') || '.' WHERE row_key = new.row_key; END;
CREATE INDEX asked_by_ref ON asked (patron_ref);
CREATE TRIGGER asked_changed AFTER UPDATE OF patron_ref, resident, active, blocks, restricted, enter_from, valid_until, hold_from, hold_until, tags, weak_pin, good_until, asked_until ON asked WHEN new.twice IS NOT quote(new.patron_ref) || coalesce(new.resident, '-') || coalesce(new.active, '-') || coalesce(new.blocks, '-') || coalesce(new.restricted, '-') || coalesce(new.enter_from, '-') || coalesce(new.valid_until, '-') || coalesce(new.hold_from, '-') || coalesce(new.hold_until, '-') || coalesce(new.tags, '-') || coalesce(new.weak_pin, '-') || coalesce(new.good_until, '-') || coalesce(new.asked_until, '-') || '.'
            BEGIN UPDATE asked SET twice = quote(new.patron_ref) || coalesce(new.resident, '-') || coalesce(new.active, '-') || coalesce(new.blocks, '-') || coalesce(new.restricted, '-') || coalesce(new.enter_from, '-') || coalesce(new.valid_until, '-') || coalesce(new.hold_from, '-') || coalesce(new.hold_until, '-') || coalesce(new.tags, '-') || coalesce(new.weak_pin, '-') || coalesce(new.good_until, '-') || coalesce(new.asked_until, '-') || '.' WHERE row_key = new.row_key; END;
CREATE TRIGGER asked_put AFTER INSERT ON asked WHEN new.twice IS NOT quote(new.patron_ref) || coalesce(new.resident, '-') || coalesce(new.active, '-') || coalesce(new.blocks, '-') || coalesce(new.restricted, '-') || coalesce(new.enter_from, '-') || coalesce(new.valid_until, '-') || coalesce(new.hold_from, '-') || coalesce(new.hold_until, '-') || coalesce(new.tags, '-') || coalesce(new.weak_pin, '-') || coalesce(new.good_until, '-') || coalesce(new.asked_until, '-') || '.'
            BEGIN UPDATE asked SET twice = quote(new.patron_ref) || coalesce(new.resident, '-') || coalesce(new.active, '-') || coalesce(new.blocks, '-') || coalesce(new.restricted, '-') || coalesce(new.enter_from, '-') || coalesce(new.valid_until, '-') || coalesce(new.hold_from, '-') || coalesce(new.hold_until, '-') || coalesce(new.tags, '-') || coalesce(new.weak_pin, '-') || coalesce(new.good_until, '-') || coalesce(new.asked_until, '-') || '.' WHERE row_key = new.row_key; END;
CREATE TRIGGER cache_changed AFTER UPDATE OF epoch, applied_at, minimum_age ON cache WHEN new.twice IS NOT coalesce(new.epoch, '-') || quote(new.applied_at) || coalesce(new.minimum_age, '-') || '.'
            BEGIN UPDATE cache SET twice = coalesce(new.epoch, '-') || quote(new.applied_at) || coalesce(new.minimum_age, '-') || '.' WHERE only = new.only; END;
CREATE TRIGGER cache_put AFTER INSERT ON cache WHEN new.twice IS NOT coalesce(new.epoch, '-') || quote(new.applied_at) || coalesce(new.minimum_age, '-') || '.'
            BEGIN UPDATE cache SET twice = coalesce(new.epoch, '-') || quote(new.applied_at) || coalesce(new.minimum_age, '-') || '.' WHERE only = new.only; END;
CREATE INDEX asked_by_end ON asked (asked_until);
CREATE INDEX shut_out_by_time ON shut_out (at, reasons);
CREATE INDEX shut_out_by_end ON shut_out (until);
CREATE TRIGGER shut_out_noted AFTER INSERT ON shut_out BEGIN 
    INSERT INTO shut_out_counts VALUES (coalesce(new.reasons, ''), 1)
    ON CONFLICT (reasons) DO UPDATE SET count = count + 1
; END;
CREATE TRIGGER shut_out_forgotten AFTER DELETE ON shut_out BEGIN 
    UPDATE shut_out_counts SET count = count - 1 WHERE reasons = coalesce(old.reasons, '');
    DELETE FROM shut_out_counts WHERE reasons = coalesce(old.reasons, '') AND count = 0
; END;
CREATE TRIGGER shut_out_judged AFTER UPDATE OF reasons ON shut_out
            WHEN new.reasons IS NOT old.reasons BEGIN 
    UPDATE shut_out_counts SET count = count - 1 WHERE reasons = coalesce(old.reasons, '');
    DELETE FROM shut_out_counts WHERE reasons = coalesce(old.reasons, '') AND count = 0
; 
    INSERT INTO shut_out_counts VALUES (coalesce(new.reasons, ''), 1)
    ON CONFLICT (reasons) DO UPDATE SET count = count + 1
; END;
COMMIT;
PRAGMA user_version = 2;
