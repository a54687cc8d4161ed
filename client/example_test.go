package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// exampleServer is a server with one thread of three messages, and its client.
func exampleServer() (*client.Client, func()) {
	s := newServer(1)
	s.append("thread/rt05", 3)
	c, err := client.New(client.Options{BaseURL: "http://gotong.test", Dial: s.line.dial})
	if err != nil {
		panic(err)
	}
	return c, func() { c.Close(); s.stop() }
}

func ExampleClient_Follow() {
	c, stop := exampleServer()
	defer stop()

	enough := errors.New("enough")
	from := map[gotong.Stream]client.From{"thread/rt05": client.Start}
	err := c.Follow(context.Background(), from, func(e client.Event) error {
		var message struct{ Body string }
		if err := e.Decode(&message); err != nil {
			return err
		}
		fmt.Println(e.Seq, e.Type, message.Body)
		if e.Seq == 3 {
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// 1 message.posted rt05 number 1
	// 2 message.posted rt05 number 2
	// 3 message.posted rt05 number 3
	// enough
}

func ExampleClient_Events() {
	c, stop := exampleServer()
	defer stop()

	from := map[gotong.Stream]client.From{"thread/rt05": "k3f9:1"} // a stored cursor
	for e, err := range c.Events(context.Background(), from) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Seq, "go on after", e.Cursor())
		if e.Seq == 3 {
			return
		}
	}
	// Output:
	// 2 go on after k3f9:2
	// 3 go on after k3f9:3
}

func ExampleConn() {
	c, stop := exampleServer()
	defer stop()

	seen := make(chan uint64, 8)
	conn := c.NewConn(client.ConnOptions{
		Handle:  func(e client.Event) error { seen <- e.Seq; return nil },
		OnEnded: func(e *client.Ended) error { fmt.Println(e); return nil },
	})
	if err := conn.Subscribe("thread/rt05", "k3f9:3"); err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx) }()

	receipt, err := conn.Post(ctx, "thread/rt05", "Halo")
	fmt.Println("posted", receipt.First, err)
	fmt.Println("handled", <-seen)
	cancel()
	fmt.Println(<-done)
	// Output:
	// posted 4 <nil>
	// handled 4
	// context canceled
}

func ExampleRequestID() {
	c, stop := exampleServer()
	defer stop()

	conn := c.NewConn(client.ConnOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx) }()

	// Work that names its own requests may be repeated as a whole.
	for range 2 {
		r, err := conn.Post(ctx, "thread/rt05", "Halo", client.RequestID("greeting-2026-08-17"))
		fmt.Println(r.First, r.Replayed, err)
	}
	cancel()
	fmt.Println(<-done)
	// Output:
	// 4 false <nil>
	// 4 true <nil>
	// context canceled
}

func ExampleFullJitter() {
	fmt.Println(client.FullJitter(0) < 500*time.Millisecond, client.FullJitter(100) < 30*time.Second)
	// Output: true true
}
