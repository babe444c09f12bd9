// Logcheck holds our log against Go's own: golang.org/x/mod/sumdb/note and tlog know nothing of our code.
//
//	logcheck verify DIR   verify checkpoint, bundles, tiles and the claims of DIR/claims.json
//	logcheck make SIZE    make a log of SIZE entries "entry 0", "entry 1", ... and print it as JSON
//
// It exits with 1 and one line that says what does not hold.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

type inclusion struct {
	Index int64       `json:"index"`
	Proof []tlog.Hash `json:"proof"`
}

type consistency struct {
	Old   int64       `json:"old"`
	Root  tlog.Hash   `json:"root"`
	Proof []tlog.Hash `json:"proof"`
}

// claims is what our side says about the log in a folder, beside its files.
type claims struct {
	Key         string        `json:"key"`
	Cosigner    string        `json:"cosigner"`
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
}

// made is a log that Go made.
type made struct {
	SignerKey   string        `json:"signer_key"`
	VerifierKey string        `json:"verifier_key"`
	Checkpoint  string        `json:"checkpoint"`
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
}

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "verify":
		err = verify(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "make":
		err = makeLog(os.Args[2])
	default:
		err = fmt.Errorf("usage: logcheck verify DIR | make SIZE")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func verify(dir string) error {
	var said claims
	if err := readJSON(filepath.Join(dir, "claims.json"), &said); err != nil {
		return err
	}
	tree, err := openCheckpoint(dir, said)
	if err != nil {
		return fmt.Errorf("checkpoint: %v", err)
	}
	hashes := tlog.TileHashReader(tree, tiles(dir))
	entries, err := readEntries(dir, tree.N)
	if err != nil {
		return fmt.Errorf("bundles: %v", err)
	}
	if err := checkTiles(dir, tree, entries); err != nil {
		return fmt.Errorf("tiles: %v", err)
	}
	for _, one := range said.Inclusion {
		if err := tlog.CheckRecord(one.Proof, tree.N, tree.Hash, one.Index, tlog.RecordHash(entries[one.Index])); err != nil {
			return fmt.Errorf("inclusion %d: %v", one.Index, err)
		}
		own, err := tlog.ProveRecord(tree.N, one.Index, hashes)
		if err != nil || !same(own, one.Proof) {
			return fmt.Errorf("inclusion %d: not the proof that Go makes: %v", one.Index, err)
		}
	}
	for _, one := range said.Consistency {
		if err := tlog.CheckTree(one.Proof, tree.N, tree.Hash, one.Old, one.Root); err != nil {
			return fmt.Errorf("consistency %d: %v", one.Old, err)
		}
		own, err := tlog.ProveTree(tree.N, one.Old, hashes)
		if err != nil || !same(own, one.Proof) {
			return fmt.Errorf("consistency %d: not the proof that Go makes: %v", one.Old, err)
		}
	}
	fmt.Printf("%d entries, %d inclusion and %d consistency proofs hold\n", tree.N, len(said.Inclusion), len(said.Consistency))
	return nil
}

// openCheckpoint verifies the log's signature, the cosigner's if there is to be one, and reads size and root.
func openCheckpoint(dir string, said claims) (tlog.Tree, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return tlog.Tree{}, err
	}
	logKey, err := note.NewVerifier(said.Key)
	if err != nil {
		return tlog.Tree{}, err
	}
	known := []note.Verifier{logKey}
	if said.Cosigner != "" {
		witness, err := newCosigner(said.Cosigner)
		if err != nil {
			return tlog.Tree{}, err
		}
		known = append(known, witness)
	}
	opened, err := note.Open(raw, note.VerifierList(known...))
	if err != nil {
		return tlog.Tree{}, err
	}
	if len(opened.Sigs) != len(known) {
		return tlog.Tree{}, fmt.Errorf("%d of %d keys signed", len(opened.Sigs), len(known))
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != logKey.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s", logKey.Name())
	}
	// tlog reads a tree that is called as Go's own is; the lines are otherwise the same.
	return tlog.ParseTree([]byte("go.sum database tree\n" + lines[1] + "\n" + lines[2] + "\n"))
}

// cosigner verifies c2sp.org/tlog-cosignature v1, which this version of note does not know.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosigner(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	hash, err1 := strconv.ParseUint(parts[1], 16, 32)
	key, err2 := base64.StdEncoding.DecodeString(parts[2])
	if err1 != nil || err2 != nil || len(key) != 33 || key[0] != 4 {
		return nil, fmt.Errorf("not a cosigner's key")
	}
	return cosigner{parts[0], uint32(hash), key[1:]}, nil
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }
func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	head := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(sig))
	return ed25519.Verify(c.key, append([]byte(head), msg...), sig[8:])
}

// tiles reads hash tiles from a folder. Ours are all of one height, which Go's paths have and tlog-tiles' have not.
type tiles string

func (t tiles) Height() int                     { return tileHeight }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, one := range wanted {
		path := strings.Replace(one.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(t), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// checkTiles builds the tree of the bundles' entries anew and compares its root and every tile.
func checkTiles(dir string, tree tlog.Tree, entries [][]byte) error {
	own, err := grow(entries)
	if err != nil {
		return err
	}
	if root, err := tlog.TreeHash(tree.N, own); err != nil || root != tree.Hash {
		return fmt.Errorf("the bundles have another root than the checkpoint: %v", err)
	}
	for level := 0; tree.N>>uint(level*tileHeight) > 0; level++ {
		held := tree.N >> uint(level*tileHeight)
		for start := int64(0); start < held; start += 1 << tileHeight {
			tile := tlog.Tile{H: tileHeight, L: level, N: start >> tileHeight, W: 1 << tileHeight}
			if held-start < int64(tile.W) {
				tile.W = int(held - start)
			}
			expected, err := tlog.ReadTileData(tile, own)
			if err != nil {
				return err
			}
			data, err := tiles(dir).ReadTiles([]tlog.Tile{tile})
			if err != nil {
				return err
			}
			if !bytes.Equal(data[0], expected) {
				return fmt.Errorf("%s is not the tree's", tile.Path())
			}
		}
	}
	return nil
}

// stored are all hashes of a tree, in tlog's order.
type stored []tlog.Hash

func (s *stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, index := range indexes {
		found = append(found, (*s)[index])
	}
	return found, nil
}

func grow(entries [][]byte) (*stored, error) {
	own := new(stored)
	for i, entry := range entries {
		hashes, err := tlog.StoredHashes(int64(i), entry, own)
		if err != nil {
			return nil, err
		}
		*own = append(*own, hashes...)
	}
	return own, nil
}

func readEntries(dir string, size int64) ([][]byte, error) {
	var entries [][]byte
	for start := int64(0); start < size; start += 1 << tileHeight {
		tile := tlog.Tile{H: tileHeight, L: -1, N: start >> tileHeight, W: 1 << tileHeight}
		if start+int64(tile.W) > size {
			tile.W = int(size - start)
		}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return nil, err
		}
		for len(data) >= 2 {
			end := 2 + int(binary.BigEndian.Uint16(data))
			if end > len(data) {
				return nil, fmt.Errorf("%s is cut off", path)
			}
			entries = append(entries, data[2:end])
			data = data[end:]
		}
		if len(data) != 0 {
			return nil, fmt.Errorf("%s has a byte too many", path)
		}
	}
	if int64(len(entries)) != size {
		return nil, fmt.Errorf("%d entries in a log of %d", len(entries), size)
	}
	return entries, nil
}

func makeLog(sizeText string) error {
	size, err := strconv.ParseInt(sizeText, 10, 64)
	if err != nil {
		return err
	}
	var entries [][]byte
	for i := int64(0); i < size; i++ {
		entries = append(entries, []byte(fmt.Sprintf("entry %d", i)))
	}
	reader, err := grow(entries)
	if err != nil {
		return err
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	var out made
	for i := int64(0); i < size; i++ {
		proof, err := tlog.ProveRecord(size, i, reader)
		if err != nil {
			return err
		}
		out.Inclusion = append(out.Inclusion, inclusion{i, proof})
		old, err := tlog.TreeHash(i+1, reader)
		if err != nil {
			return err
		}
		grown, err := tlog.ProveTree(size, i+1, reader)
		if err != nil {
			return err
		}
		out.Consistency = append(out.Consistency, consistency{i + 1, old, grown})
	}
	out.SignerKey, out.VerifierKey, err = note.GenerateKey(rand.Reader, "go.example/log")
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(out.SignerKey)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("go.example/log\n%d\n%s\n", size, root)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return err
	}
	out.Checkpoint = string(signed)
	return json.NewEncoder(os.Stdout).Encode(out)
}

func same(a, b []tlog.Hash) bool {
	return len(a) == len(b) && bytes.Equal(flat(a), flat(b))
}

func flat(hashes []tlog.Hash) []byte {
	var all []byte
	for _, one := range hashes {
		all = append(all, one[:]...)
	}
	return all
}

func readJSON(path string, into interface{}) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
