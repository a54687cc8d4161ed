package accounts

import (
	"context"
	"net/http"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/text"
)

func (a *accounts) eraseRoutes(api *httpapi.API) {
	httpapi.Register(api, httpapi.Route{
		ID: "erase-content", Method: http.MethodPost, Path: "/v1/admin/erasures", Tag: tagAdmin, Write: true,
		Summary: "Erase the content of events for good",
		Description: "For admins. It erases the content of the named events of a stream, and that of later events about them, such as " +
			"the edits of a message. Seqs, order, chain and data stay. Each erased event gets an event content.erased with the reason, " +
			"which everyone sees who could see the erased one; do not quote the text in it. Backups and clients keep what they have.",
	}, a.erase)
}

// Erasure is the body of an erasure.
type Erasure struct {
	Stream gotong.Stream `json:"stream" minLength:"3" maxLength:"161" doc:"The stream: kind/id."`
	Seqs   []uint64      `json:"seqs" minItems:"1" maxItems:"100" doc:"The events, by seq."`
	Reason string        `json:"reason" minLength:"1" maxLength:"500"`
}

// ErasedView is the result of an erasure.
type ErasedView struct {
	Stream gotong.Stream `json:"stream"`
	Erased uint64        `json:"erased" doc:"How many events lost content: those named and those about them. 0: none had any."`
	AsOf   string        `json:"as_of,omitempty" doc:"The cursor after the events content.erased."`
}

func (a *accounts) erase(ctx context.Context, in *httpapi.Sent[Erasure]) (*httpapi.Out[ErasedView], error) {
	if !httpapi.CallOf(ctx).Principal.Role.IsAdmin() {
		return nil, gotong.NewError(gotong.CodeForbidden, "Only platform admins can erase content.")
	}
	order := in.JSON.Value
	if _, err := gotong.ParseStream(string(order.Stream)); err != nil {
		return nil, err
	}
	ids, err := store.ErasePlan(ctx, a.Store, a.Codec, order.Stream, order.Seqs)
	if err != nil {
		return nil, err
	}
	cmd := httpapi.CallOf(ctx).Command(order.Stream, gotong.CmdErase, gotong.Erase{Events: ids, Reason: text.Grounds.Clean(order.Reason)}, in.JSON.Raw)
	receipt, err := httpapi.Run(ctx, a.Engine, cmd)
	if err != nil {
		return nil, err
	}
	if err := httpapi.Settled(ctx, a.Delivery, receipt); err != nil {
		return nil, err
	}
	out := &httpapi.Out[ErasedView]{Body: ErasedView{Stream: order.Stream}}
	if receipt.First > 0 {
		out.Body.Erased, out.Body.AsOf = receipt.Last-receipt.First+1, httpapi.AsOf(ctx, receipt.Last)
	}
	return out, nil
}
