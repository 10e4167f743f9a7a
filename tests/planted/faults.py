"""The list: small mistakes that somebody could make, and who has to notice each."""

from __future__ import annotations

from dataclasses import dataclass

SIMULATION = "simulation"


@dataclass(frozen=True)
class Fault:
    """One mistake, which breaks one rule wherever the object that keeps the rule lives.

    Args:
        name: what is wrong then; for the command line.
        object: qualified name of the function, class or table of doorctl that keeps the rule.
        old: stands once in it as `ast.unparse` writes it: single quotes, a line for a statement.
        new: what it becomes.
        harness: the simulation, or the test file that has to fail.
    """

    name: str
    object: str
    old: str
    new: str
    harness: str = SIMULATION


FAULTS = (
    Fault(
        "the relay is never switched off",
        "_lock_when_due",
        "return _locked(strike) if _due(strike, event.now_s) else strike",
        "return strike",
    ),
    Fault(
        "a pulse of twice the time",
        "_release",
        "ends_s = max(strike.until_s or 0.0, event.now_s + event.release_s)",
        "ends_s = max(strike.until_s or 0.0, event.now_s + 2 * event.release_s)",
    ),
    Fault(
        "free in self-service",
        "DailyRound._change",
        "free=self.stands_free and mode is Mode.STAFFED",
        "free=self.stands_free and mode in OPEN",
    ),
    Fault(
        "any PIN is right",
        "_compared",
        "PinProof.PROVED if any(matches) else PinProof.WRONG",
        "PinProof.PROVED",
    ),
    Fault("blocks are not asked for", "CHECKS", "Check('blocked', _blocked), ", ""),
    Fault("residence is not asked for", "CHECKS", "Check('resident', _resident), ", ""),
    Fault("age is not asked for", "CHECKS", "Check('age', _age), ", ""),
    Fault("expiry is not asked for", "CHECKS", "Check('expired', _expired), ", ""),
    Fault("nobody is waited for", "CHECKS", "Check('first_card', _first_card), ", ""),
    Fault(
        "a restart forgets that the day was opened",
        "HourlyHistory.opened_on",
        "return hours[-1].astimezone(moment.local.tzinfo).date() if hours else None",
        "return None",
        "tests/store/test_visits.py",
    ),
    Fault("hours are not asked for", "CHECKS", "Check('hours', _hours), ", ""),
    Fault(
        "any age of the register will do",
        "_cache_age",
        "if doubtful or age > ",
        "if doubtful and age > ",
    ),
    Fault(
        "bans are forgotten",
        "case_of",
        "banned=banned(known.bans, now.moment, branch)",
        "banned=False",
    ),
    Fault(
        "a lockdown is ignored",
        "judge",
        "if override is not None and _holds(override, moment):",
        "if override is not None and override.mode in OPEN and _holds(override, moment):",
    ),
    Fault(
        "hours by a clock that nobody vouches for",
        "_by_calendar",
        "return Standing(None, Cause.CLOCK)",
        "pass",
    ),
    Fault(
        "holdover by the wall clock",
        "Timekeeper.read",
        "carried_on.astimezone(wall.tzinfo), boot, ClockState.HOLDOVER",
        "wall, boot, ClockState.HOLDOVER",
    ),
    Fault(
        "whoever vouches is believed",
        "Timekeeper._judge",
        "_moved(self._anchor, now, boot) < SLEWED",
        "boot >= timedelta(0)",
    ),
    Fault(
        "a restart ends a doubt of the clock",
        "Timekeeper.resume",
        "kept.accepted, kept.doubt, kept.doubted_at)",
        "None, None, None)",
        "tests/test_moments.py",
    ),
    Fault(
        "a reboot ends a doubt of the clock",
        "Timekeeper.resume",
        "elif kept.doubt is not None:",
        "elif kept.doubt is kept:",
        "tests/test_moments.py",
    ),
    Fault(
        "a wrong PIN costs nothing",
        "_throttle_after",
        "return opened.charged(now)",
        "return opened.before",
    ),
    Fault(
        "a guess is charged afterwards",
        "Ledger.prepare",
        "charged = None if opened.before is None else opened.charged(now)",
        "charged = opened.before",
    ),
    Fault("a wait is too short", "WAIT_AFTER_S", "5: 600,", "5: 60,"),
    Fault(
        "a month of wrong PINs is too many",
        "MOST_WRONG_PINS",
        "MOST_WRONG_PINS = 20",
        "MOST_WRONG_PINS = 21",
    ),
    Fault(
        "lamps tell an unknown card",
        "Controller._conclude",
        "self.doorway.show(Signal.GRANTED if reason is Reason.OK else Signal.REFUSED)",
        "self.doorway.show(Signal.REFUSED if reason is Reason.WRONG_PIN else Signal.GRANTED)",
    ),
    Fault(
        "commits that a power cut loses", "_WRITER", "'synchronous=FULL'", "'synchronous=NORMAL'"
    ),
    Fault(
        "a failed transaction is committed",
        "transaction",
        "connection.execute('ROLLBACK')",
        "connection.execute('COMMIT')",
    ),
    Fault(
        "an older push is believed",
        "_refuse_order",
        "if manifest.epoch < held.epoch:",
        "if manifest.epoch < 0:",
    ),
    Fault(
        "changes follow on anything",
        "_refuse_order",
        "manifest.previous_epoch != held.epoch",
        "manifest.previous_epoch < 0",
    ),
    Fault(
        "a second push of one number passes for the first",
        "judge",
        "if held == Push(manifest.epoch, manifest.sha256):",
        "if held.epoch == manifest.epoch:",
    ),
    Fault(
        "anybody may sign",
        "verify",
        "if not any((key.has_signed(signature, message) for key in public_keys)):",
        "if not public_keys:",
    ),
    Fault("the guard sleeps", "guard", "return count > most and", "return count < 0 and"),
    Fault(
        "the guard looks at today only",
        "watch",
        "for n in range(SOON.days + 1)]",
        "for n in range(1)]",
        "tests/store/test_patrons_shut_out.py",
    ),
    Fault(
        "the guard compares with the last push",
        "watch",
        "forget(connection, at)",
        "connection.execute('DELETE FROM shut_out')",
        "tests/store/test_patrons.py",
    ),
    Fault(
        "a number may be any number above ours",
        "_refuse_order",
        "if manifest.epoch > above + LARGEST_STEP:",
        "if manifest.epoch > 2**63:",
        "tests/sync/test_receive.py",
    ),
    Fault(
        "removals are ignored",
        "PatronCacheWriter.apply",
        "leaving.remove(removals)",
        "leaving.remove(())",
    ),
    Fault(
        "a snapshot removes nobody",
        "PatronCacheWriter.apply",
        "Leaving(connection, push.epoch, full=full)",
        "Leaving(connection, push.epoch, full=False)",
    ),
    Fault(
        "the erased come back with an old file",
        "PatronCacheWriter.__init__",
        "self._forget_restored()",
        "pass",
    ),
    Fault(
        "visits are purged a day early",
        "visible_since",
        "return now.astimezone(UTC) - retention",
        "return now.astimezone(UTC) - retention + timedelta(days=1)",
    ),
    Fault(
        "visits are purged days late",
        "visible_since",
        "return now.astimezone(UTC) - retention",
        "return now.astimezone(UTC) - retention - timedelta(days=2)",
    ),
    Fault(
        "a wrong clock that was believed empties the log at once",
        "purge",
        "due if oldest is None else min(due, oldest + STEP)",
        "due",
        "tests/privacy/test_retention.py",
    ),
    Fault(
        "attempts that a crash left open stay open",
        "VisitStore._begin",
        "connection.execute(_CLOSE_ALL, (Reason.FAULT.verdict, Reason.FAULT.value))",
        "connection.execute('SELECT 1')",
    ),
    Fault("a full disk keeps patrons out", "SteadyVisitLog._tried", "return False", "raise"),
    Fault(
        "a minute too many",
        "_mode",
        "if span.starts <= minute < span.ends}",
        "if span.starts <= minute <= span.ends}",
    ),
    Fault(
        "a push during the PIN is missed",
        "judge",
        "if attempt.cache_version is None or attempt.cache_version != now.cache_version:",
        "if attempt.cache_version is None:",
        "tests/doord/test_swipes.py",
    ),
    Fault(
        "half a swipe outlives its cable",
        "Controller._hear_line",
        "self.cards.reset()",
        "pass",
        "tests/doord/test_loop.py",
    ),
    Fault(
        "a lockdown ends in a door that stands free",
        "_after_lockdown",
        "return Mode.CLOSED if lapsed and mode is Mode.STAFFED else mode",
        "return mode",
        "tests/access/test_modes.py",
    ),
    Fault(
        "the watchdog does not mind the relay",
        "Housekeeping._limit_s",
        "return None if relocks_s is None else",
        "return None if relocks_s is not None else",
        "tests/doord/test_housekeeping.py",
    ),
    Fault(
        "deleted visits stay in the pages",
        "compact",
        "connection.execute('VACUUM')",
        "connection.execute('SELECT 1')",
        "tests/store/test_purge_bytes.py",
    ),
    Fault(
        "a PIN can be printed",
        "Masked.__repr__",
        "(***)'",
        "({self._secret!r})'",
        "tests/test_masked.py",
    ),
    Fault(
        "the audit chain binds nothing",
        "_fault",
        "if link.hash != _sha256(before.hash, link.commitment):",
        "if not link.hash:",
        "tests/privacy/test_audit.py",
    ),
    Fault(
        "any host that ends in localhost may press keys",
        "is_here",
        "return host == 'localhost' or",
        "return (host or '').endswith('localhost') or",
        "tests/web/panel/test_page.py",
    ),
    Fault(
        "who somebody was is shown though the audit log failed",
        "note",
        "change(app, deeds.note(deed))",
        "try:\n        change(app, deeds.note(deed))\n    except OSError:\n        pass",
        "tests/web/pages/test_log.py",
    ),
    Fault(
        "a right password forgives its address all wrong ones",
        "SigningIn._forgive",
        "admitted.address, address_refunded(whole, now))",
        "admitted.address, NONE)",
        "tests/services/test_signing_in.py",
    ),
    Fault(
        "a cookie of one account is known by all",
        "_proof",
        r"browser\x00{name}\x00{number}",
        r"browser\x00{number}",
        "tests/services/test_signing_in.py",
    ),
    Fault(
        "who polls a sign-in that waits is not charged",
        "SigningIn._admitted",
        "if host is not None and all_wait_s == 0:",
        "if host is not None and all_wait_s == waits_s == 0:",
        "tests/services/test_signing_in.py",
    ),
    Fault(
        "connections are counted by nobody before TLS",
        "Listener.accept",
        "if self._taken[host] >= MOST_OF_ONE or",
        "if False and",
        "tests/web/test_connections.py",
    ),
    Fault(
        "two lengths are taken",
        "SameOrigin.__call__",
        "for name, _ in scope['headers']} >= TWO_LENGTHS",
        "for name, _ in scope['headers']} > TWO_LENGTHS | {b'x'}",
        "tests/web/test_attacks_served.py",
    ),
    Fault(
        "root stays root in the service user's directory",
        "read_config",
        "become_owner(config.storage.directory if sender is None else sender.state_directory)",
        "pass",
        "tests/rootplay/test_rootplay.py",
    ),
    Fault(
        "root's commands write the door's files as web",
        "by_the_owner",
        "nullcontext() if of is None else owner_of(of)",
        "nullcontext()",
        "tests/rootplay/test_rootplay.py",
    ),
    Fault(
        "the group may write the databases",
        "create_file",
        " & ~stat.S_IWGRP",
        "",
        "tests/rootplay/test_rootplay.py",
    ),
    Fault(
        "web does whatever the door asks",
        "_answer",
        ", others=_DOORS",
        "",
        "tests/rootplay/test_rootplay.py",
    ),
    Fault(
        "a reader beside a writer of another user misses commits",
        "WatchedReader._opened",
        "self._shm_writable() or self._wal_bytes() > 0",
        "self._shm_writable()",
        "tests/store/test_unshared_reading.py",
    ),
    Fault(
        "a hold bears the name that web gives",
        "hold_answers",
        "asked = replace(asked, by=question.signed(asked.by))",
        "pass",
        "tests/rootplay/test_rootplay.py",
    ),
    Fault(
        "a lock is a link to something else",
        "_FLAGS",
        "os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK |",
        "os.O_CREAT | os.O_NONBLOCK |",
        "tests/store/test_connection.py",
    ),
    Fault(
        "the door signs as whom web names",
        "_by",
        "question.signed(by)",
        "by",
        "tests/e2e/test_modes.py",
    ),
    Fault(
        "whoever asks without end keeps the place in line",
        "Turns._place",
        "(self._last.get(waiting.host, 0), before, waiting.came)",
        "(0, before, waiting.came)",
        "tests/web/pages/test_frame.py",
    ),
    Fault(
        "a new address waits for what others failed",
        "newcomer_may",
        "address.forgotten(now) and (not spent)",
        "False",
        "tests/services/test_signing_in.py",
    ),
    Fault(
        "new addresses are a way around an account's waits",
        "newcomer_charged",
        "_debt_ms(newcomers, now) + _NEWCOMER_MS",
        "_debt_ms(newcomers, now)",
        "tests/services/test_signing_in.py",
    ),
    Fault(
        "a sign-in at the municipality counts twice",
        "PendingSignIns._is_taken",
        "self._taken[digest] = None",
        "pass",
        "tests/services/test_sessions.py",
    ),
    Fault(
        "strangers are told which push is held",
        "Pushes.epoch",
        "if not self._is_known(request):",
        "if self._is_known(request) is None:",
        "tests/web/test_strangers.py",
    ),
    Fault(
        "whoever sends anything is a known sender",
        "Pushes.push",
        "if staging.manifest is not None:",
        "if staging is not None:",
        "tests/web/test_strangers.py",
    ),
    Fault(
        "a question signed for one branch is right at another",
        "_question",
        "f'{QUESTION}\\n{branch}'",
        "f'{QUESTION}\\n'",
        "tests/web/test_strangers.py",
    ),
    Fault(
        "hours of branch 42 are those of branch 4",
        "_wrong",
        "str(item.branch_id) != request.branch",
        "not str(item.branch_id).startswith(request.branch)",
        "tests/test_whole_ids.py",
    ),
    Fault(
        "a group at the provider whose name begins so has the role",
        "SigningIn._role",
        "if group in groups",
        "if any((have.startswith(group) for have in groups))",
        "tests/test_whole_ids.py",
    ),
    Fault(
        "a branch whose key has the same beginning gets rows",
        "_Courier._talk",
        "held.key_id not in self.sender.links",
        "not any((held.key_id.startswith(own) for own in self.sender.links))",
        "tests/test_whole_ids.py",
    ),
    Fault(
        "talks that hang pile up",
        "Talks._awaited",
        "len(self._left) >= MOST_LEFT",
        "False",
        "tests/sources/test_asking.py",
    ),
    Fault(
        "a mail server's TLS is not cut off",
        "_Line.connected",
        "self._kept = made.dup()",
        "self._kept = None",
        "tests/sources/test_slow_servers.py",
    ),
    Fault(
        "a webhook is waited for all day",
        "_Address._ask",
        "self._talks.within(self._total_s, asking)",
        "self._talks.within(86400.0, asking)",
        "tests/sources/test_slow_servers.py",
    ),
    Fault(
        "a silent user takes another one's place",
        "Callers._make_room",
        "if each.user == user",
        "",
        "tests/rpc/test_public.py",
    ),
    Fault(
        "alarms about people wait behind the others",
        "Outbox._next",
        "for line in (self._for_people, self._others)",
        "for line in (self._others, self._for_people)",
        "tests/notices/test_sending.py",
    ),
    Fault(
        "a webhook that has moved counts as one that took the notice",
        "_Address._ask",
        "not httpx2.codes.is_success(status)",
        "httpx2.codes.is_error(status)",
        "tests/notices/test_ways.py",
    ),
    Fault(
        "one branch's lost log is confirmed for all of them",
        "OutboxStore.confirm_audit",
        "'DELETE FROM audit_lost WHERE branch = ?'",
        "'DELETE FROM audit_lost WHERE ? IS NOT NULL'",
        "tests/sync/test_outbox.py",
    ),
    Fault(
        "a push that another branch took is believed of this one",
        "OutboxStore.was_sent",
        "branch = :branch AND epoch = :epoch",
        "epoch = :epoch",
        "tests/sync/test_outbox.py",
    ),
    Fault(
        "a branch hears its own wrong PINs as those of others",
        "_WRONG_ELSEWHERE",
        "branch <> :branch",
        ":branch <> ''",
        "tests/sync/test_push.py",
    ),
)
