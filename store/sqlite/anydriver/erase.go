package anydriver

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/alot/alotwebhook"
)

// Erase implements [alotwebhook.History]. It looks at 5,000 events at most if neither an event nor
// a subject is named. What it erases is overwritten in the pages of the file, as far as it stands
// there still: the comment of package sqlite says what remains where.
func (s *Store) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	p, err := passageOf(&r)
	if err != nil {
		return 0, "", err
	}
	err = s.write(ctx, "erase", func(t *txn) (err error) {
		n, next, err = t.erase(p, max(limit, 1))
		return err
	})
	if err != nil {
		return 0, "", err
	}
	return n, next, nil
}

// Erase is [Store.Erase] in the host's transaction: see [alotwebhook.Dispatcher.EraseIn].
func (h hostTx) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	p, err := passageOf(&r)
	if err != nil {
		return 0, "", err
	}
	t, err := h.begin(ctx)
	if err != nil {
		return 0, "", err
	}
	err = h.whole(t, "erase", func() error {
		if err := t.lockFirst(); err != nil {
			return err
		}
		n, next, err = t.erase(p, max(limit, 1))
		return err
	})
	if err != nil {
		return 0, "", err
	}
	return n, next, nil
}

// erase erases the next events of a passage, up to limit.
func (t *txn) erase(p passage, limit int) (n int, next string, err error) {
	list, floor, err := t.pass(p, limit)
	if err == nil && len(list) > 0 {
		err = t.overwriting(func() error { return t.eraseEvents(list) })
	}
	if floor != (key{}) {
		next = floor.spell(eventPrefix)
	}
	return len(list), next, err
}

// eraseEvents ends the deliveries of events that are unfinished, and leaves of all of it what
// says nothing of anybody.
func (t *txn) eraseEvents(list []passed) error {
	for _, m := range moments(list) {
		unfinished, err := t.collect("SELECT id FROM alotwebhook_queue WHERE "+ofMoment, m.args())
		if err != nil {
			return err
		}
		if _, err := t.cancel(unfinished, alotwebhook.ReasonErased); err != nil {
			return err
		}
		if err := t.eraseAnswers(&m); err != nil {
			return err
		}
	}
	return t.exec(`UPDATE alotwebhook_events SET payload = NULL, subject = NULL, trace_parent = NULL
		WHERE ref `+amongRefs+` AND (payload IS NOT NULL OR subject IS NOT NULL OR trace_parent IS NOT NULL)`, refsOf(list))
}

// eraseAnswers erases what the attempts of a moment's finished deliveries keep of details and
// responses.
func (t *txn) eraseAnswers(m *moment) error {
	histories := map[key]string{}
	err := t.each(`SELECT id, history FROM alotwebhook_deliveries WHERE `+ofMoment+`
		AND (instr(history, '"detail":') OR instr(history, '"body":'))`, m.args(), func(scan func(...any) error) error {
		var k key
		var history string
		err := scan(&k, &history)
		histories[k] = history
		return err
	})
	for k, history := range histories {
		if err == nil {
			history, err = withoutAnswers(history)
		}
		if err == nil {
			err = t.exec("UPDATE alotwebhook_deliveries SET history = ? WHERE id = ?", history, k[:])
		}
	}
	return err
}

// withoutAnswers returns a history without details and bodies.
func withoutAnswers(history string) (string, error) {
	var stored []attempt
	if err := json.Unmarshal([]byte("["+history+"]"), &stored); err != nil {
		return "", damaged(err)
	}
	for i := range stored {
		stored[i].Detail, stored[i].Body = "", nil
	}
	b, err := json.Marshal(stored)
	if err != nil {
		return "", err
	}
	return string(b[1 : len(b)-1]), nil
}

// overwriting has SQLite overwrite with zeros whatever f deletes or replaces, and gives the
// connection back as it was. SQLite obeys a PRAGMA when it is compiled, so that none of these is
// prepared for later.
func (t *txn) overwriting(f func() error) error {
	rows, err := t.on.QueryContext(t.ctx, "PRAGMA main.secure_delete")
	if err != nil {
		return err
	}
	var was int
	for rows.Next() && err == nil {
		err = rows.Scan(&was)
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return err
	}
	set := func(to string) error {
		_, err := t.on.ExecContext(t.ctx, "PRAGMA main.secure_delete = "+to)
		return err
	}
	if err := set("ON"); err != nil {
		return err
	}
	return errors.Join(f(), set([]string{"OFF", "ON", "FAST"}[was]))
}
