// An App backend for Room.CallbackAfterMemberEnter and ...Leave: Go's net/http, rooms in memory.
package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

type packet struct { // whatever the Type; what we don't use may be missing, and fields added later may come
	CallbackCommand, RoomId string
	Accounts                []string `json:"MemberList_Account"`
	EventTime               int64
}

type member struct{ room, account string }

var (
	sdkAppID = env("SDKAPPID", "1400000001")
	token    = env("ROOMHOOK_TOKEN", os.Getenv("TOKEN"))
	commands = map[string]int64{"Room.CallbackAfterMemberEnter": 0, "Room.CallbackAfterMemberLeave": 1}
	mutex    sync.Mutex
	// Twice the EventTime of each member's last event, plus 1 for a leave; a database table in real life.
	latest = map[member]int64{}
)

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func synchronise(query url.Values, body []byte) error {
	only := func(name string) string { return strings.Join(query[name], ",") } // Get would take the first of two
	if only("SdkAppid") != sdkAppID {                                          // as text: Atoi would take 01400000001
		return errors.New("SdkAppid is not ours")
	}
	if token != "" {
		sent, err := strconv.ParseUint(only("RequestTime"), 10, 40)
		if off := time.Now().Unix() - int64(sent); err != nil || off > 60 || off < -60 {
			return errors.New("RequestTime is not within a minute of now")
		}
		right := fmt.Sprintf("%x", sha256.Sum256([]byte(token+only("RequestTime"))))
		if subtle.ConstantTimeCompare([]byte(only("Sign")), []byte(right)) != 1 {
			return errors.New("Sign does not match")
		}
	}
	var event packet
	// By itself, encoding/json takes bytes that are not UTF-8 for U+FFFD.
	if !utf8.Valid(body) || json.Unmarshal(body, &event) != nil || event.CallbackCommand != only("CallbackCommand") {
		return errors.New("the body is no packet of this command")
	}
	gone, known := commands[event.CallbackCommand]
	if !known {
		return nil // none of our business
	}
	if event.RoomId == "" || len(event.Accounts) == 0 || event.EventTime <= 0 || event.EventTime > 1<<53 {
		return errors.New("a field of the packet is missing")
	}
	mutex.Lock()
	defer mutex.Unlock()
	for _, account := range event.Accounts {
		who, mark := member{event.RoomId, account}, 2*event.EventTime+gone
		if mark > latest[who] { // the later event wins: repeated or out of order, the end is the same
			latest[who] = mark
		}
	}
	return nil
}

func onCallback(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if r.Method != http.MethodPost {
		err = errors.New("callbacks come by POST")
	}
	if err == nil {
		err = synchronise(r.URL.Query(), body)
	}
	if err != nil {
		answer = map[string]any{"ActionStatus": "FAIL", "ErrorCode": 1, "ErrorInfo": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

func members(w http.ResponseWriter, r *http.Request) {
	mutex.Lock()
	defer mutex.Unlock()
	present := []string{}
	for who, mark := range latest {
		if who.room == strings.TrimPrefix(r.URL.Path, "/rooms/") && mark%2 == 0 {
			present = append(present, who.account)
		}
	}
	json.NewEncoder(w).Encode(present)
}

func main() {
	http.HandleFunc("/callback", onCallback)
	http.HandleFunc("/rooms/", members)
	port := append(os.Args[1:], env("PORT", "8000"))[0]
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}
