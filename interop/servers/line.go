package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// line is a TCP forwarder that takes its time in each direction, also with the end of a connection.
type line struct {
	listener net.Listener
	to       string
	delay    time.Duration
}

func newLine(to string, delay time.Duration) (*line, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &line{listener: listener, to: to, delay: delay}
	go l.accept()
	return l, nil
}

func (l *line) address() string { return l.listener.Addr().String() }

func (l *line) stop() { _ = l.listener.Close() }

func (l *line) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.forward(near.(*net.TCPConn))
	}
}

// forward joins a connection to one to the server.
func (l *line) forward(near *net.TCPConn) {
	conn, err := net.Dial("tcp4", l.to)
	if err != nil {
		reset(near)
		return
	}
	far := conn.(*net.TCPConn)
	var open sync.WaitGroup
	open.Go(func() { l.carry(near, far) })
	open.Go(func() { l.carry(far, near) })
	open.Wait()
	_ = near.Close()
	_ = far.Close()
}

// piece is what was read at a time.
type piece struct {
	at   time.Time
	data []byte
	err  error
}

// carry carries what one side sends to the other one.
func (l *line) carry(from, to *net.TCPConn) {
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			pieces <- piece{time.Now(), buffer[:n], err}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.at.Add(l.delay)))
		_, _ = to.Write(p.data) // the other direction tells of an error
		switch {
		case p.err == io.EOF:
			_ = to.CloseWrite()
		case p.err != nil:
			reset(to)
		}
	}
}

// reset ends a connection as one that broke.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
