// An App backend for Room.CallbackAfterMemberEnter and ...Leave: Go's net/http, rooms in memory.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
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

var (
	sdkAppID = env("SDKAPPID", "1400000001")
	token    = env("ROOMHOOK_TOKEN", os.Getenv("TOKEN"))
	commands = map[string]int64{"Room.CallbackAfterMemberEnter": 0, "Room.CallbackAfterMemberLeave": 1}
	mutex    sync.Mutex
	// RoomId and account: twice the EventTime of the last event, plus 1 for a leave; a database table in real life.
	latest = map[[2]string]int64{}
)

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func signed(sign, sent string) bool {
	at, err := strconv.ParseUint(sent, 10, 40)
	off := time.Now().Unix() - int64(at)
	right := fmt.Sprintf("%x", sha256.Sum256([]byte(token+sent)))
	return err == nil && -60 <= off && off <= 60 && hmac.Equal([]byte(sign), []byte(right)) // in constant time
}

func synchronise(r *http.Request, body []byte) error {
	only := func(name string) string { return strings.Join(r.URL.Query()[name], ",") } // Get would take the first of two
	var event packet
	switch {
	case r.Method != http.MethodPost:
		return errors.New("callbacks come by POST")
	case only("SdkAppid") != sdkAppID: // as text: Atoi would take 01400000001
		return errors.New("SdkAppid is not ours")
	case token != "" && !signed(only("Sign"), only("RequestTime")):
		return errors.New("Sign does not match, or RequestTime is not within a minute of now")
	case !utf8.Valid(body) || json.Unmarshal(body, &event) != nil: // by itself, json takes other bytes for U+FFFD
		return errors.New("the body is no packet of this callback")
	case event.CallbackCommand != only("CallbackCommand"):
		return errors.New("CallbackCommand differs between URL and body")
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
	for _, account := range event.Accounts { // the later event wins: repeated or out of order, the end is the same
		if who, mark := [2]string{event.RoomId, account}, 2*event.EventTime+gone; mark > latest[who] {
			latest[who] = mark
		}
	}
	return nil
}

func onCallback(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = synchronise(r, body)
	}
	answer := map[string]any{"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}
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
		if "/rooms/"+who[0] == r.URL.Path && mark%2 == 0 {
			present = append(present, who[1])
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
