"""The list: small mistakes that somebody could make, and who has to notice each."""

from __future__ import annotations

from dataclasses import dataclass

SIMULATION = "simulation"


@dataclass(frozen=True)
class Fault:
    """One mistake.

    Args:
        name: for the command line.
        file: of the source.
        old: stands in it exactly once.
        new: what it becomes.
        harness: the simulation, or the test file that has to fail.
    """

    name: str
    file: str
    old: str
    new: str
    harness: str = SIMULATION


POLICY = "doorctl/access/policy.py"
RECEIVE = "doorctl/sync/receive.py"
SHUT_OUT = "doorctl/store/patrons_changes.py"
WRITER = "doorctl/store/patrons_writer.py"
LEDGER = "doorctl/doord/prepare.py"
STRIKE = "doorctl/door/strike.py"
RETENTION = "doorctl/privacy/retention.py"

FAULTS = (
    Fault(
        "the relay is never switched off",
        STRIKE,
        "return _locked(strike) if _due(strike, event.now_s) else strike",
        "return strike",
    ),
    Fault(
        "a pulse of twice the time",
        STRIKE,
        "ends_s = max(strike.until_s or 0.0, event.now_s + event.release_s)",
        "ends_s = max(strike.until_s or 0.0, event.now_s + 2 * event.release_s)",
    ),
    Fault(
        "free in self-service",
        "doorctl/doord/hours.py",
        "free=self._stands_free and mode is Mode.STAFFED",
        "free=self._stands_free and mode in OPEN",
    ),
    Fault(
        "any PIN is right",
        "doorctl/access/judging.py",
        "PinProof.PROVED if any(matches) else PinProof.WRONG",
        "PinProof.PROVED",
    ),
    Fault("blocks are not asked for", POLICY, '    Check("blocked", _blocked),\n', ""),
    Fault("residence is not asked for", POLICY, '    Check("resident", _resident),\n', ""),
    Fault("age is not asked for", POLICY, '    Check("age", _age),\n', ""),
    Fault("expiry is not asked for", POLICY, '    Check("expired", _expired),\n', ""),
    Fault("nobody is waited for", POLICY, '    Check("first_card", _first_card),\n', ""),
    Fault(
        "a restart forgets that the day was opened",
        "doorctl/store/visit_rows.py",
        "return hours[-1].astimezone(moment.local.tzinfo).date() if hours else None",
        "return None",
        "tests/store/test_statistics.py",
    ),
    Fault("hours are not asked for", POLICY, '    Check("hours", _hours),\n', ""),
    Fault(
        "any age of the register will do", POLICY, "if doubtful or age > ", "if doubtful and age > "
    ),
    Fault(
        "bans are forgotten",
        "doorctl/access/judging.py",
        "banned=banned(known.bans, now.moment, rules.policy.branch)",
        "banned=False",
    ),
    Fault(
        "a lockdown is ignored",
        "doorctl/access/day.py",
        "if override is not None and _holds(override, moment):",
        "if override is not None and override.mode in OPEN and _holds(override, moment):",
    ),
    Fault(
        "hours by a clock that nobody vouches for",
        "doorctl/access/day.py",
        "        return Standing(None, Cause.CLOCK)\n",
        "",
    ),
    Fault(
        "holdover by the wall clock",
        "doorctl/core/moments.py",
        "carried_on.astimezone(wall.tzinfo), boot, ClockState.HOLDOVER",
        "wall, boot, ClockState.HOLDOVER",
    ),
    Fault(
        "whoever vouches is believed",
        "doorctl/core/moments.py",
        "_moved(self._anchor, now, boot) < SLEWED",
        "boot >= timedelta(0)",
    ),
    Fault(
        "a wrong PIN costs nothing",
        LEDGER,
        "    if reason in BEFORE_PROOF:\n        return opened.charged(now)\n",
        "    if reason in BEFORE_PROOF:\n        return opened.before\n",
    ),
    Fault(
        "a guess is charged afterwards",
        LEDGER,
        "charged = None if opened.before is None else opened.charged(now)",
        "charged = opened.before",
    ),
    Fault("a wait is too short", "doorctl/access/throttle.py", "5: 600,", "5: 60,"),
    Fault(
        "a month of wrong PINs is too many",
        "doorctl/access/throttle.py",
        "MOST_WRONG_PINS = 20",
        "MOST_WRONG_PINS = 21",
    ),
    Fault(
        "lamps tell an unknown card",
        "doorctl/doord/controller.py",
        "self._doorway.show(Signal.GRANTED if reason is Reason.OK else Signal.REFUSED)",
        "self._doorway.show(Signal.REFUSED if reason is Reason.WRONG_PIN else Signal.GRANTED)",
    ),
    Fault(
        "commits that a power cut loses",
        "doorctl/store/connection.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
    ),
    Fault(
        "a failed transaction is committed",
        "doorctl/store/connection.py",
        'connection.execute("ROLLBACK")',
        'connection.execute("COMMIT")',
    ),
    Fault(
        "an older push is believed",
        RECEIVE,
        "if manifest.epoch < held.epoch:",
        "if manifest.epoch < 0:",
    ),
    Fault(
        "changes follow on anything",
        RECEIVE,
        "manifest.previous_epoch != held.epoch",
        "manifest.previous_epoch < 0",
    ),
    Fault(
        "a second push of one number passes for the first",
        RECEIVE,
        "if held == Push(manifest.epoch, manifest.sha256):",
        "if held.epoch == manifest.epoch:",
    ),
    Fault(
        "anybody may sign",
        "doorctl/sync/document.py",
        "if not any(key.has_signed(signature, message) for key in public_keys):",
        "if not public_keys:",
    ),
    Fault(
        "the guard sleeps",
        "doorctl/sync/guard.py",
        "return count > floor and",
        "return count < 0 and",
    ),
    Fault(
        "the guard looks at today only",
        SHUT_OUT,
        "for n in range(WEEK.days + 1)]",
        "for n in range(1)]",
        "tests/store/test_patrons_contract.py",
    ),
    Fault(
        "the guard compares with the last push",
        SHUT_OUT,
        "        forget(connection, at)\n",
        '        connection.execute("DELETE FROM shut_out")\n',
        "tests/store/test_patrons_contract.py",
    ),
    Fault(
        "a number may be any number above ours",
        RECEIVE,
        "if manifest.epoch > above + LARGEST_STEP:",
        "if manifest.epoch > 2**63:",
        "tests/sync/test_receive.py",
    ),
    Fault("removals are ignored", WRITER, "leaving.remove(removals)", "leaving.remove(())"),
    Fault(
        "a snapshot removes nobody",
        WRITER,
        "Leaving(connection, push.epoch, full=full)",
        "Leaving(connection, push.epoch, full=False)",
    ),
    Fault(
        "the erased come back with an old file",
        WRITER,
        "            self._start_empty()\n            self._forget_restored()\n",
        "            self._start_empty()\n",
    ),
    Fault(
        "visits are purged a day early",
        RETENTION,
        "return now.astimezone(UTC) - retention",
        "return now.astimezone(UTC) - retention + timedelta(days=1)",
    ),
    Fault(
        "visits are purged days late",
        RETENTION,
        "return now.astimezone(UTC) - retention",
        "return now.astimezone(UTC) - retention - timedelta(days=2)",
    ),
    Fault(
        "a wrong clock that was believed empties the log at once",
        RETENTION,
        "due if oldest is None else min(due, oldest + STEP)",
        "due",
        "tests/privacy/test_retention.py",
    ),
    Fault(
        "attempts that a crash left open stay open",
        "doorctl/store/visits.py",
        "connection.execute(_CLOSE_ALL, (Reason.FAULT.verdict, Reason.FAULT.value))",
        "connection.execute('SELECT 1')",
    ),
    Fault(
        "a full disk keeps patrons out",
        "doorctl/doord/fallback_log.py",
        "            self._told(str(err))\n            return False\n",
        "            raise\n",
    ),
    Fault(
        "a minute too many",
        "doorctl/access/calendar.py",
        "if one.starts <= minute < one.ends}",
        "if one.starts <= minute <= one.ends}",
    ),
    Fault(
        "a push during the PIN is missed",
        "doorctl/access/attempt.py",
        "if attempt.cache_version is None or attempt.cache_version != now.cache_version:",
        "if attempt.cache_version is None:",
        "tests/application/test_door_model.py",
    ),
    Fault(
        "half a swipe outlives its cable",
        "doorctl/doord/controller.py",
        "                if line == READER:\n                    self._cards.reset()\n",
        "",
        "tests/application/test_door_model.py",
    ),
    Fault(
        "a lockdown ends in a door that stands free",
        "doorctl/access/day.py",
        "return Mode.CLOSED if lapsed and mode is Mode.STAFFED else mode",
        "return mode",
        "tests/access/test_modes.py",
    ),
    Fault(
        "the watchdog does not mind the relay",
        "doorctl/doord/watchdog.py",
        "return None if relocks_s is None else",
        "return None if relocks_s is not None else",
        "tests/application/test_housekeeping.py",
    ),
    Fault(
        "deleted visits stay in the pages",
        "doorctl/store/visit_purge.py",
        'connection.execute("VACUUM")',
        'connection.execute("SELECT 1")',
        "tests/store/test_purge_bytes.py",
    ),
    Fault(
        "a PIN can be printed",
        "doorctl/core/masked.py",
        'return f"{type(self).__name__}(***)"',
        'return f"{type(self).__name__}({self._secret!r})"',
        "tests/test_masked.py",
    ),
    Fault(
        "the audit chain binds nothing",
        "doorctl/privacy/audit.py",
        "if link.hash != _sha256(before.hash, link.commitment):",
        "if not link.hash:",
        "tests/privacy/test_audit_chain.py",
    ),
    Fault(
        "any host that ends in localhost may press keys",
        "doorctl/web/panel.py",
        'return host == "localhost" or',
        'return (host or "").endswith("localhost") or',
        "tests/web/panel/test_page.py",
    ),
    Fault(
        "who somebody was is shown though the audit log failed",
        "doorctl/wiring/desks_log.py",
        "        note(self._config, deed, by)\n        return ref\n",
        "        try:\n            note(self._config, deed, by)\n        except OSError:\n"
        "            pass\n        return ref\n",
        "tests/web/test_desk_log.py",
    ),
    Fault(
        "a right password forgives its address all wrong ones",
        "doorctl/accounts/signing_in.py",
        "admitted.address, address_refunded(whole, now))",
        "admitted.address, NONE)",
        "tests/accounts/test_signing_in.py",
    ),
    Fault(
        "a cookie of one account is known by all",
        "doorctl/accounts/throttle.py",
        'f"browser\\0{name}\\0{number}"',
        'f"browser\\0{number}"',
        "tests/accounts/test_signing_in.py",
    ),
    Fault(
        "who polls a sign-in that waits is not charged",
        "doorctl/accounts/signing_in.py",
        "if host is not None and all_wait_s == 0:",
        "if host is not None and all_wait_s == waits_s == 0:",
        "tests/accounts/test_signing_in.py",
    ),
    Fault(
        "connections are counted by nobody before TLS",
        "doorctl/web/serving.py",
        "if self._taken[host] >= MOST_OF_ONE or",
        "if False and",
        "tests/web/test_connections.py",
    ),
    Fault(
        "two lengths are taken",
        "doorctl/web/frame/headers.py",
        'for name, _ in scope["headers"]} >= TWO_LENGTHS',
        'for name, _ in scope["headers"]} > TWO_LENGTHS | {b"x"}',
        "tests/web/test_attacks_served.py",
    ),
    Fault(
        "root stays root in the service user's directory",
        "doorctl/cli/options.py",
        "become_owner(config.storage.directory if sender is None else sender.state_directory)",
        "pass",
        "tests/rootplay/test_rootplay.py",
    ),
    Fault(
        "root's commands write the door's files as web",
        "doorctl/services/app.py",
        "nullcontext() if of is None else owner_of(of)",
        "nullcontext()",
        "tests/rootplay/test_two_users.py",
    ),
    Fault(
        "the group may write the databases",
        "doorctl/store/connection.py",
        " & ~stat.S_IWGRP",
        "",
        "tests/rootplay/test_two_users.py",
    ),
    Fault(
        "web does whatever the door asks",
        "doorctl/wiring/web.py",
        ", others=_DOORS",
        "",
        "tests/rootplay/test_two_users.py",
    ),
    Fault(
        "a reader beside a writer of another user misses commits",
        "doorctl/store/connection.py",
        "self._shm_writable() or self._wal_bytes() > 0",
        "self._shm_writable()",
        "tests/store/test_unshared_reading.py",
    ),
    Fault(
        "a hold bears the name that web gives",
        "doorctl/services/holding.py",
        "asked = replace(asked, by=question.signed(asked.by))",
        "pass",
        "tests/rootplay/test_two_users.py",
    ),
    Fault(
        "a lock is a link to something else",
        "doorctl/store/connection.py",
        "os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK |",
        "os.O_CREAT | os.O_NONBLOCK |",
        "tests/store/test_writer_lock.py",
    ),
    Fault(
        "the door signs as whom web names",
        "doorctl/wiring/door_answers.py",
        "question.signed(by)",
        "by",
        "tests/e2e/test_modes.py",
    ),
)
