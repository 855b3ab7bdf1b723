package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"math"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// streamRows is how many rows are sent at a time.
const streamRows = 500

// stream stores the events of a chunk that are new, their deliveries and, if it is the last
// one, commits: in one round trip. While the server stores some, this process spells the next,
// which costs it half as much as pgx. The pool prepares statements.
func (s *Store) stream(ctx context.Context, conn *pgxpool.Conn, c *chunk, last bool) error {
	events, queue := s.sql(insertEvents), s.sql(insertDeliveries)
	intoEvents, err := conn.Conn().Prepare(ctx, events, events) // asks the server once for a connection
	if err != nil {
		return err
	}
	intoQueue, err := conn.Conn().Prepare(ctx, queue, queue)
	if err != nil {
		return err
	}
	p := conn.Conn().PgConn().StartPipeline(ctx)
	err = errors.Join(c.sendEvents(newRowStream(p, intoEvents)), c.sendDeliveries(newRowStream(p, intoQueue)))
	if last {
		p.SendQueryParams(commit.sql, nil, nil, nil, nil)
	}
	if err == nil {
		err = p.Sync()
	}
	for results := any(p); err == nil && results != nil; {
		if results, err = p.GetResults(); err == nil {
			if r, ok := results.(*pgconn.ResultReader); ok {
				_, err = r.Close()
			}
		}
	}
	if closed := p.Close(); err == nil {
		err = closed
	}
	return err
}

func (c *chunk) sendEvents(into *rowStream) error {
	for i, e := range c.events {
		if c.stored[i] {
			continue
		}
		into.add(0, e.id[:])
		into.addText(1, e.Type)
		into.addText(2, e.OrganizationID)
		into.add(3, e.Payload())
		if c.traced {
			into.addNullable(4, e.TraceParent)
		}
		if c.about {
			into.addNullable(5, e.Subject)
		}
		if err := into.endRow(); err != nil {
			return err
		}
	}
	return into.flush()
}

func (c *chunk) sendDeliveries(into *rowStream) error {
	err := c.each(func(e fresh, to subscriber, age int32) error {
		id := deliveryID(e, to.id)
		into.add(0, id[:])
		into.columns[1] = binary.BigEndian.AppendUint64(into.size(1, 8), uint64(to.key))
		into.add(2, e.id[:])
		into.addText(3, e.Type)
		into.columns[4] = binary.BigEndian.AppendUint32(into.size(4, 4), uint32(age))
		return into.endRow()
	})
	if err != nil {
		return err
	}
	return into.flush()
}

// rowStream spells rows as arrays, one for each column, in the binary form of PostgreSQL:
// the number of dimensions, a flag that there may be NULLs, the type, the number of elements, the
// lower bound; and of each element the size, -1 for NULL, and the value. It executes a prepared
// statement for every streamRows of them. A column to which nothing is added is NULL in all rows.
type rowStream struct {
	pipeline *pgconn.Pipeline
	into     *pgconn.StatementDescription
	columns  [][]byte
	rows     int
}

// elementTypes are the types of elements by the types of arrays.
var elementTypes = map[uint32]uint32{
	pgtype.UUIDArrayOID: pgtype.UUIDOID, pgtype.TextArrayOID: pgtype.TextOID,
	pgtype.Int8ArrayOID: pgtype.Int8OID, pgtype.Int4ArrayOID: pgtype.Int4OID,
}

// arrayHeader is how many bytes stand before an array's elements, and emptyHeader is how many
// an array without elements has.
const (
	arrayHeader = 20
	emptyHeader = 12
)

func newRowStream(p *pgconn.Pipeline, into *pgconn.StatementDescription) *rowStream {
	r := &rowStream{pipeline: p, into: into, columns: make([][]byte, len(into.ParamOIDs))}
	r.clear()
	return r
}

func (r *rowStream) clear() {
	for i := range r.columns {
		r.columns[i] = append(r.columns[i][:0], make([]byte, arrayHeader)...)
	}
	r.rows = 0
}

// size adds the size of an element and returns the column.
func (r *rowStream) size(column, n int) []byte {
	return binary.BigEndian.AppendUint32(r.columns[column], uint32(n))
}

func (r *rowStream) add(column int, value []byte) {
	r.columns[column] = append(r.size(column, len(value)), value...)
}

func (r *rowStream) addText(column int, text string) {
	r.columns[column] = append(r.size(column, len(text)), text...)
}

// addNullable adds NULL for an empty text.
func (r *rowStream) addNullable(column int, text string) {
	if text == "" {
		r.columns[column] = binary.BigEndian.AppendUint32(r.columns[column], math.MaxUint32)
		return
	}
	r.addText(column, text)
}

// endRow ends a row, and sends the rows once there are streamRows of them.
func (r *rowStream) endRow() error {
	if r.rows++; r.rows < streamRows {
		return nil
	}
	return r.flush()
}

// flush sends the rows that have gathered.
func (r *rowStream) flush() error {
	if r.rows == 0 {
		return nil
	}
	for i, c := range r.columns {
		binary.BigEndian.PutUint32(c[8:], elementTypes[r.into.ParamOIDs[i]])
		if len(c) == arrayHeader { // an empty array has no dimension
			r.columns[i] = c[:emptyHeader]
			continue
		}
		binary.BigEndian.PutUint32(c, 1)
		binary.BigEndian.PutUint32(c[4:], 1)
		binary.BigEndian.PutUint32(c[12:], uint32(r.rows))
		binary.BigEndian.PutUint32(c[16:], 1)
	}
	r.pipeline.SendQueryPrepared(r.into.Name, r.columns, []int16{pgtype.BinaryFormatCode}, nil)
	r.clear()
	return r.pipeline.Flush()
}
