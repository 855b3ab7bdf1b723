// Package walfile reads the write-ahead log of a SQLite database, the file beside it that ends in
// -wal, as SQLite itself would after a crash. The format is published, and does not change:
// https://sqlite.org/fileformat2.html#the_write_ahead_log.
//
// SQLite takes no locks on that file, so that opening and closing it here releases none of
// this process. That would be otherwise with the database's own file.
package walfile

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
)

const (
	headerSize      = 32
	frameHeaderSize = 24
	// magic is what a log begins with; its last bit says in which order checksums take bytes.
	magic = 0x377f0682
)

// Generation tells the logs that one file holds in turn from each other: SQLite begins with a new
// one each time when all of the log has come into the database. It is the zero value for no log.
type Generation [8]byte

// GenerationOf returns which log a file holds now.
func GenerationOf(path string) (g Generation) {
	file, err := os.Open(path)
	if err != nil {
		return g
	}
	defer file.Close()
	_, err = file.ReadAt(g[:], 16)
	if err != nil {
		return Generation{}
	}
	return g
}

// Pages calls page for every page of the log, in the order in which they were written, up to where it
// breaks off. The content is valid during the call. It returns which log that was; the zero value if
// there is none. The error is one of the file system.
func Pages(path string, page func(number uint32, content []byte)) (Generation, error) {
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return Generation{}, nil
	}
	if err != nil {
		return Generation{}, err
	}
	defer file.Close()
	l := log{in: bufio.NewReaderSize(file, 1<<20)}
	ok, err := l.header()
	for ok && err == nil {
		if ok, err = l.next(); ok && err == nil {
			page(binary.BigEndian.Uint32(l.frame[:]), l.frame[frameHeaderSize:])
		}
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return l.generation, err
}

// log is a log that is read.
type log struct {
	in         *bufio.Reader
	generation Generation
	order      binary.ByteOrder
	sum        [2]uint32 // of all that was read
	frame      []byte
}

// header reads the header, and reports whether it is one.
func (l *log) header() (ok bool, err error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(l.in, h[:]); err != nil {
		return false, err
	}
	size := binary.BigEndian.Uint32(h[8:])
	first := binary.BigEndian.Uint32(h[:])
	if first&^1 != magic || size < 512 || size > 64<<10 || size&(size-1) != 0 {
		return false, nil
	}
	l.order = binary.ByteOrder(binary.LittleEndian)
	if first&1 == 1 {
		l.order = binary.BigEndian
	}
	l.add(h[:24])
	if !l.isSum(h[24:]) {
		return false, nil
	}
	l.generation = Generation(h[16:24])
	l.frame = make([]byte, frameHeaderSize+size)
	return true, nil
}

// next reads the next frame, and reports whether it belongs to this log.
func (l *log) next() (ok bool, err error) {
	if _, err := io.ReadFull(l.in, l.frame); err != nil {
		return false, err
	}
	if Generation(l.frame[8:16]) != l.generation {
		return false, nil
	}
	l.add(l.frame[:8])
	l.add(l.frame[frameHeaderSize:])
	return l.isSum(l.frame[16:]), nil
}

// add adds bytes, a multiple of eight, to the sum.
func (l *log) add(b []byte) {
	a, c := l.sum[0], l.sum[1]
	if l.order == binary.BigEndian {
		for ; len(b) >= 8; b = b[8:] {
			a += binary.BigEndian.Uint32(b) + c
			c += binary.BigEndian.Uint32(b[4:]) + a
		}
	} else {
		for ; len(b) >= 8; b = b[8:] {
			a += binary.LittleEndian.Uint32(b) + c
			c += binary.LittleEndian.Uint32(b[4:]) + a
		}
	}
	l.sum = [2]uint32{a, c}
}

// isSum reports whether the sum is the one that stands there.
func (l *log) isSum(there []byte) bool {
	return binary.BigEndian.Uint32(there) == l.sum[0] && binary.BigEndian.Uint32(there[4:]) == l.sum[1]
}
