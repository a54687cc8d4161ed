package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/bench"
)

const text = "Air mulai surut di gang tiga; pompa kedua bisa dipindah ke balai warga sore ini, tolong dua orang."

// token returns a token of a user of the load.
func token(user string) string {
	text, err := (&bench.Issuer{KID: "load", Key: []byte(secret), Prefix: user}).Token(context.Background(), 0)
	if err != nil {
		panic(err)
	}
	return text
}

// rest returns a client of the server for a user.
func (s *server) rest(user string) (*client.Client, error) {
	return client.New(client.Options{BaseURL: "http://" + s.addr, Token: client.StaticToken(token(user))})
}

// thread makes a public thread in a scope.
func (s *server) thread(ctx context.Context, user, scope string) (client.Thread, error) {
	c, err := s.rest(user)
	if err != nil {
		return client.Thread{}, err
	}
	defer c.Close()
	return c.CreateThread(ctx, client.NewThread{ScopeID: scope, Privacy: "public"})
}

func (s *server) dial(ctx context.Context, user string) (*bench.Socket, error) {
	return bench.Dial(ctx, "http://"+s.addr, token(user))
}

// post sends one message and waits until it is durable.
func post(w *bench.Socket, stream string) error {
	request := gotong.NewEventID(gotong.InstantOf(time.Now()), rand.Uint64()).String()
	err := w.WriteText(`{"op":"command","id":"1","request_id":%q,"stream":%q,"type":"message.post","data":{"body":%q}}`,
		request, stream, text)
	for err == nil {
		var b []byte
		b, err = w.ReadText()
		switch {
		case bytes.HasPrefix(b, []byte(`{"op":"ack"`)):
			return nil
		case bytes.HasPrefix(b, []byte(`{"op":"error"`)):
			return errors.New(string(b))
		}
	}
	return err
}
