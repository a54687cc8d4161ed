package httpapi

import (
	"cmp"
	"maps"
	"net/http"
	"slices"

	"gotong.dev/gotong"
)

// Entry is the row of one code: its status, title and meaning.
type Entry struct {
	Code   gotong.Code
	Status int    // of HTTP
	Title  string // the same for every occurrence
	Retry  bool   // the same request may succeed later
	Close  int    // the close code of a WebSocket that ends for this reason; 0 if none does
	Cause  string // how it comes about, for the page of the code
	Cure   string // and what to do
}

// Type returns the URI reference of the code's documentation on this host.
func (e Entry) Type() string { return problemBase + string(e.Code) }

const problemBase = "/problems/"

// entries is the one table of errors: every error that a client receives, over
// any transport, is made from it.
var entries = index([]Entry{
	{
		gotong.CodeBadJSON, http.StatusBadRequest, "Not readable JSON", false, 1007,
		"The body is not one JSON object in UTF-8: it is cut short, has a name twice, or has something after the object.",
		"Send one complete object. The detail names the place where reading stopped.",
	},
	{
		CodeBadRequest, http.StatusBadRequest, "Bad request", false, 4400,
		"The request fits no operation: for example, it has a query parameter or a frame that the server does " +
			"not know, or a token in its URL.",
		"Compare the request with the operation in the documentation. Send the token in the header Authorization.",
	},
	{
		gotong.CodeCursorInvalid, http.StatusBadRequest, "Malformed cursor", false, 0,
		"The cursor is not one that this server returned.",
		"Send a cursor exactly as you received it, or the word start to begin with the first event.",
	},
	{
		gotong.CodeUnauthorized, http.StatusUnauthorized, "Not authenticated", false, 4401,
		"The token is missing, malformed or expired, or its login has ended: by a logout, a change of the " +
			"account, or a further login beyond the limit.",
		"Exchange the refresh token for new ones, or sign in again. Then repeat the request.",
	},
	{
		gotong.CodeForbidden, http.StatusForbidden, "Not allowed", false, 4403,
		"You can see this, but your role or your membership does not allow the operation.",
		"Ask an owner or admin to do it, or to give you the role that the operation needs.",
	},
	{
		gotong.CodeNotFound, http.StatusNotFound, "Not found", false, 0,
		"It does not exist, or you may not know that it does. Both give the same answer, so that nobody can probe for private things.",
		"Check the id. If you were a member, you may have been removed. Ask an owner or admin to add you.",
	},
	{
		CodeMethod, http.StatusMethodNotAllowed, "Method not allowed", false, 0,
		"The address exists, but not for this method.",
		"Use one of the methods in the header Allow.",
	},
	{
		CodeTimeout, http.StatusRequestTimeout, "Request timeout", true, 0,
		"The body did not arrive within 10 seconds.",
		"Repeat the request with the same Idempotency-Key.",
	},
	{
		gotong.CodeConflict, http.StatusConflict, "The request does not fit the state", false, 0,
		"The state has changed, or never allowed this: for example, " +
			"the last owner cannot leave, and only one step of a case can be open at a time.",
		"Read the resource again and decide anew. The detail says what does not fit.",
	},
	{
		gotong.CodeExists, http.StatusConflict, "Already exists", false, 0,
		"Another account has this e-mail address or user name.",
		"Choose another one. If the address is yours, sign in.",
	},
	{
		gotong.CodeVersion, http.StatusConflict, "A newer revision exists", false, 0,
		"Somebody changed the message after you read it.",
		"Read the message again, apply your change to its present revision, and send that revision.",
	},
	{
		gotong.CodeArchived, http.StatusConflict, "The thread is archived", false, 0,
		"The thread was archived: its members can read it, and nobody can write to it.",
		"Ask an owner or admin to take it out of the archive, or write to another thread.",
	},
	{
		gotong.CodeTargetDeleted, http.StatusConflict, "The target was deleted", false, 0,
		"The message was deleted before your request arrived.",
		"Nothing can change it any more. Post a new message.",
	},
	{
		gotong.CodeGateClosed, http.StatusConflict, "The gate has closed", false, 0,
		"The window of the vote or objection is over. The server's clock decides.",
		"Read the outcome in the timeline of the case.",
	},
	{
		gotong.CodeGateClosing, http.StatusConflict, "A gate is about to close", true, 0,
		"The window of an earlier proposal is over, and its outcome is about to be written.",
		"Repeat the request after the time in Retry-After.",
	},
	{
		gotong.CodeNoSuchStep, http.StatusConflict, "The track has no such step", false, 0,
		"The track of the case has no such step from its present stage.",
		"Read the stage of the case. Propose a step that its track has.",
	},
	{
		gotong.CodeInProgress, http.StatusConflict, "The same request is in progress", true, 0,
		"An earlier request with the same key is still running.",
		"Repeat the request with the same key after the time in Retry-After. You will get the answer of the first one.",
	},
	{
		gotong.CodeCursorAhead, http.StatusConflict, "The cursor is ahead of the stream", false, 0,
		"The cursor lies beyond the newest event. It may come from another stream, or from before a backup was restored.",
		"Forget what you hold of this stream and read it again from the cursor start.",
	},
	{
		gotong.CodeEpochChanged, http.StatusConflict, "The cursor is of another epoch", false, 0,
		"The server continues another history since you received this cursor: a backup was restored.",
		"Forget what you hold of this stream and read it again from the cursor start.",
	},
	{
		gotong.CodePrecondition, http.StatusPreconditionFailed, "Precondition failed", false, 0,
		"The resource has another revision than the one in If-Match.",
		"Read it again, and send the new ETag.",
	},
	{
		gotong.CodeTooLarge, http.StatusRequestEntityTooLarge, "Content too large", false, 1009,
		"The body, the header or the frame is larger than the limit.",
		"Send less at once. The documentation lists the limits.",
	},
	{
		CodeMediaType, http.StatusUnsupportedMediaType, "Unsupported media type", false, 1003,
		"The body is not application/json in UTF-8, or it is compressed.",
		"Send Content-Type: application/json, uncompressed.",
	},
	{
		CodeRange, http.StatusRequestedRangeNotSatisfiable, "No such range", false, 0,
		"The header Range asks for bytes beyond the end of the file.",
		"Ask for bytes within the size that Content-Range gives, or for the whole file.",
	},
	{
		gotong.CodeInvalid, http.StatusUnprocessableEntity, "The request does not fit the operation", false, 0,
		"A field is missing, unknown, or has a value that the operation does not accept.",
		"The list errors names each field with the reason. Correct them and send the request with a new key.",
	},
	{
		gotong.CodeUnsupported, http.StatusUnprocessableEntity, "Not supported yet", false, 0,
		"This version of the server cannot do this yet.",
		"Leave the field out.",
	},
	{
		gotong.CodeReused, http.StatusUnprocessableEntity, "The request id was used for another request", false, 0,
		"This Idempotency-Key, or request id, belongs to an earlier request with another body.",
		"Make a new key for each new request. Use the old key only to repeat the same bytes.",
	},
	{
		CodeUpgrade, http.StatusUpgradeRequired, "Not a valid WebSocket handshake", false, 0,
		"This address accepts only WebSocket handshakes of version 13. A proxy may have dropped the header Upgrade.",
		"Connect with a WebSocket client. Behind a proxy, forward Upgrade and Connection, or follow by SSE or long-poll.",
	},
	{
		gotong.CodePrecondRequired, http.StatusPreconditionRequired, "Precondition required", false, 0,
		"The operation replaces a revision, and the request does not say which.",
		"Send the revision in the body, or the ETag in If-Match.",
	},
	{
		gotong.CodeRateLimited, http.StatusTooManyRequests, "Too many requests", true, 4429,
		"You, or all clients behind your address, sent more requests than the allowance.",
		"Wait for the time in Retry-After, then continue more slowly.",
	},
	{
		gotong.CodeCorruptEvent, http.StatusInternalServerError, "Damaged event", false, 0,
		"An event in the log was changed outside the server, or is damaged. It is not shown, because it cannot be trusted.",
		"Report the trace_id to the operator, who finds the event in the server's log output.",
	},
	{
		gotong.CodeUnreadable, http.StatusInternalServerError, "Event not readable by this version", false, 0,
		"A newer version of the server wrote this event.",
		"Report the trace_id to the operator, who has to update this server.",
	},
	{
		gotong.CodeInternal, http.StatusInternalServerError, "Internal server error", true, 1011,
		"The server has a fault. Nothing about it is shown here.",
		"Repeat the request with the same key. If it happens again, report the trace_id to the operator.",
	},
	{
		gotong.CodeBusy, http.StatusServiceUnavailable, "Busy; the outcome is unknown", true, 1013,
		"The server has more work than it can do at this moment. Whether your request took effect is unknown.",
		"Repeat it with the same key after the time in Retry-After. It takes effect once.",
	},
	{
		gotong.CodeNotYet, http.StatusServiceUnavailable, "The event is not there yet", true, 0,
		"What you asked for does not exist yet: an event that the log has not reached, or a proof whose checkpoint is not written.",
		"Repeat the request after the time in Retry-After.",
	},
	{
		gotong.CodeStorageFailed, http.StatusServiceUnavailable, "Storage failed", true, 1012,
		"The disk or the database failed, and the server is restarting. Whether your request took effect is unknown.",
		"Repeat it with the same key. The operator finds the cause in the log.",
	},
	{
		gotong.CodeStoreSealed, http.StatusServiceUnavailable, "The store is sealed", true, 0,
		"The log is moving to another database. Nothing is written meanwhile; reads continue.",
		"Repeat the request later with the same key.",
	},
	{
		CodeUnavailable, http.StatusServiceUnavailable, "Service unavailable", true, 1012,
		"The server is starting or stopping.",
		"Repeat the request after the time in Retry-After.",
	},
	{
		gotong.CodeStorageFull, http.StatusInsufficientStorage, "Storage full", true, 1013,
		"The disk is full. Nothing was written; reads continue.",
		"Repeat the request later with the same key. The operator has to free space.",
	},
})

func index(list []Entry) map[gotong.Code]Entry {
	m := make(map[gotong.Code]Entry, len(list))
	for _, e := range list {
		m[e.Code] = e
	}
	return m
}

// EntryOf returns the row of a code, or that of [gotong.CodeInternal] for an
// unknown code.
func EntryOf(code gotong.Code) Entry {
	if e, ok := entries[code]; ok {
		return e
	}
	return entries[gotong.CodeInternal]
}

// Entries returns the whole table, by status and then code.
func Entries() []Entry {
	return slices.SortedFunc(maps.Values(entries), func(a, b Entry) int {
		return cmp.Or(a.Status-b.Status, cmp.Compare(a.Code, b.Code))
	})
}
