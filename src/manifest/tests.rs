//! Cases of what people write, and of what they should not have.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use checks::evidence::{Document, Place, Problem, ProblemKind};
use serde_json::{Value, json};

use super::{FILE_BYTES, ManifestError, Reading, read, read_text};

const HPA: &str = "\
# the shop
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: &target
    apiVersion: apps/v1
    kind: Deployment
    name: web
  maxReplicas: 5
  metrics:
  - type: Resource
    resource:
      name: memroy   # typo
      target:
        type: Utilization
        averageUtilization:
";

fn one(text: &str) -> Document {
    let reading = read_text("a.yaml", text);
    assert_eq!(reading.manifests.problems, [], "{text}");
    let [document] = reading.manifests.documents.as_slice() else { panic!("{reading:?}") };
    document.clone()
}

fn problems(text: &str) -> Vec<Problem> {
    read_text("a.yaml", text).manifests.problems
}

fn problem(text: &str) -> (ProblemKind, usize, usize) {
    let list = problems(text);
    let [problem] = list.as_slice() else { panic!("{text}: {list:?}") };
    (problem.kind, problem.place.line, problem.place.column)
}

fn range(place: &Place) -> (usize, usize, usize, usize) {
    (place.line, place.column, place.end_line, place.end_column)
}

#[test]
fn every_value_has_its_place() {
    let hpa = one(HPA);
    assert_eq!(
        (hpa.api_version.as_str(), hpa.kind.as_str(), hpa.namespace.as_str(), hpa.name.as_str()),
        ("autoscaling/v2", "HorizontalPodAutoscaler", "shop", "web")
    );
    assert_eq!(hpa.at("/spec/metrics/0/resource/name"), "memroy");
    let at =
        |pointer: &str| range(hpa.places.get(pointer).unwrap_or_else(|| panic!("no place of {pointer}")));
    assert_eq!(at("/apiVersion"), (2, 13, 2, 27));
    assert_eq!(at("/apiVersion#"), (2, 1, 2, 11));
    assert_eq!(at("/metadata"), (4, 11, 4, 39));
    assert_eq!(at("/metadata/namespace"), (4, 34, 4, 38));
    assert_eq!(at("/spec/metrics/0/resource/name"), (14, 13, 14, 19));
    assert_eq!(at("/spec/metrics/0/resource/name#"), (14, 7, 14, 11));
    // A value that is left out stands behind its key.
    assert_eq!(at("/spec/metrics/0/resource/target/averageUtilization"), (17, 27, 17, 27));
    // A block ends with the last thing in it.
    assert_eq!(at("/spec/scaleTargetRef"), (7, 5, 9, 14));
    assert_eq!(hpa.place.line, 2);
    assert_eq!(hpa.at("/spec/metrics/0/resource/target/averageUtilization"), &Value::Null);
}

#[test]
fn pointers_are_escaped() {
    let document = one("apiVersion: v1\nkind: Pod\nmetadata: {labels: {a/b~c: x}}\n");
    assert_eq!(document.at("/metadata/labels/a~1b~0c"), "x");
    assert!(document.places.contains_key("/metadata/labels/a~1b~0c"));
    assert!(document.places.contains_key("/metadata/labels/a~1b~0c#"));
}

#[test]
fn line_ends_marks_and_wide_letters_move_no_place() {
    let crlf = one(&HPA.replace('\n', "\r\n"));
    assert_eq!(crlf.places, one(HPA).places);
    let marked = one(&format!("\u{feff}{HPA}"));
    assert_eq!(marked.places, one(HPA).places);
    // A mark behind a comment has a column of its own, as it has in an editor.
    let behind = one("# a file\n\u{feff}apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n");
    assert_eq!(range(&behind.places["/apiVersion"]), (2, 14, 2, 16));
    assert_eq!(range(&behind.places["/metadata/name"]), (4, 18, 4, 21));
    let flow = one("# a file\n\u{feff}{apiVersion: v1, kind: Pod, metadata: {name: web}}\n");
    assert_eq!(range(&flow.places["/metadata/name"]), (2, 47, 2, 50));
    let wide = one("apiVersion: v1\nkind: Pod\nmetadata: {annotations: {x: 名前}, name: web}\n");
    assert_eq!(range(&wide.places["/metadata/name"]), (3, 40, 3, 43));
}

#[test]
fn documents_of_a_stream_stand_one_by_one() {
    let text = format!("---\n{HPA}---\n# nothing\n---\n{HPA}...\n");
    let reading = read_text("a.yaml", &text);
    let lines: Vec<usize> = reading.manifests.documents.iter().map(|document| document.place.line).collect();
    assert_eq!((lines, reading.passed_over), (vec![3, 23], 0));
}

#[test]
fn lists_are_taken_apart() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n";
    let reading = read_text("a.yaml", list);
    let names: Vec<_> = reading.manifests.documents.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(range(&reading.manifests.documents[0].places["/metadata/name"]), (6, 20, 6, 21));

    // What `kubectl get --raw` answers: the items do not say what they are.
    let typed = r#"{"kind":"HorizontalPodAutoscalerList","apiVersion":"autoscaling/v2","items":[{"metadata":{"name":"web"}}]}"#;
    let hpa = one(typed);
    assert_eq!((hpa.kind.as_str(), hpa.api_version.as_str()), ("HorizontalPodAutoscaler", "autoscaling/v2"));

    assert_eq!(problems("apiVersion: v1\nkind: List\nitems: []\n"), []);
    let deep =
        (0..9).fold("{}".to_owned(), |inner, _| format!("{{apiVersion: v1, kind: List, items: [{inner}]}}"));
    assert_eq!(problem(&deep).0, ProblemKind::TooLarge);
}

#[test]
fn anchors_and_merges_are_what_go_yaml_makes_of_them() {
    let text = "apiVersion: v1\nkind: ConfigMap\nbase: &base {k: 1, j: 2}\nover: {<<: *base, k: 5}\nunder: {k: 5, <<: *base}\nboth: {<<: [{k: 7}, *base]}\nplain: *base\n";
    let document = one(text);
    assert_eq!(document.at("/over"), &json!({"k": 5, "j": 2}));
    // Version 2 of go-yaml takes the merge at its place: the last one counts.
    assert_eq!(document.at("/under"), &json!({"k": 1, "j": 2}));
    assert_eq!(document.at("/both"), &json!({"k": 7, "j": 2}));
    assert_eq!(document.at("/plain"), &json!({"k": 1, "j": 2}));
    assert_eq!(range(&document.places["/plain"]), (7, 8, 7, 13));
    assert_eq!(document.places["/plain/k"].line, 3, "the field stands where the anchor is");
    assert_eq!(problem("apiVersion: v1\nkind: X\na: &a [*a]\n").0, ProblemKind::Syntax);
    assert_eq!(problem("apiVersion: v1\nkind: X\na: *none\n").0, ProblemKind::Syntax);
    assert_eq!(problem("apiVersion: v1\nkind: X\na: {<<: 5}\n").0, ProblemKind::Syntax);
}

#[test]
fn a_key_that_stands_twice_is_told_with_both_places() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: b\n";
    let reading = read_text("a.yaml", text);
    assert_eq!(reading.manifests.documents[0].name, "b", "the last one counts, as for kubectl");
    let [problem] = reading.manifests.problems.as_slice() else { panic!("{reading:?}") };
    assert_eq!((problem.kind, range(&problem.place)), (ProblemKind::DuplicateKey, (5, 3, 5, 7)));
    assert!(problem.message.contains("line 4, column 3"), "{}", problem.message);
    assert_eq!(problems("apiVersion: v1\nkind: Pod\nx: {a: 1}\ny: {<<: {a: 1}, a: 2}\n"), []);
}

#[test]
fn a_fault_costs_only_its_own_document() {
    let reading = read_text("a.yaml", &format!("{HPA}---\nkind: [\n---\n{HPA}"));
    assert_eq!(reading.manifests.documents.len(), 2);
    let [problem] = reading.manifests.problems.as_slice() else { panic!("{reading:?}") };
    assert_eq!(problem.kind, ProblemKind::Syntax);
    assert!((19..=20).contains(&problem.place.line), "{:?}", problem.place);
    assert_eq!(problem_line("apiVersion: v1\nkind: Pod\nmetadata:\n\tname: a\n"), 4);
    assert_eq!(problem_line("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n\tlabels: {}\n"), 5);
    assert_eq!(problem_line("apiVersion: v1\nkind: Pod\na: b: c\n"), 3);
    // What is missed is missed at the end.
    assert_eq!(problem_line("apiVersion: v1\nkind: Pod\na: \"open\n"), 4);
}

fn problem_line(text: &str) -> usize {
    let (kind, line, _) = problem(text);
    assert_eq!(kind, ProblemKind::Syntax, "{text}");
    line
}

#[test]
fn templates_are_told_from_faults() {
    let chart =
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: {{ .Values.name }}\n";
    assert_eq!(problem(chart), (ProblemKind::Template, 4, 9));
    let control =
        "{{- if .Values.hpa }}\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n{{- end }}\n";
    assert_eq!(problem(control), (ProblemKind::Template, 1, 1));
    // Where YAML does not break, only the fields that decide count.
    let quoted = HPA.replace("name: web,", "name: \"{{ .Values.name }}\",");
    assert_eq!(problem(&quoted), (ProblemKind::Template, 4, 18));
    let variable = HPA.replace("maxReplicas: 5", "maxReplicas: ${MAX}");
    assert_eq!(problem(&variable), (ProblemKind::Template, 10, 16));
    assert_eq!(read_text("a.yaml", &variable).manifests.documents, [], "nothing can be said of it");
    let elsewhere = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: \"{{ y }} ${Z}\"}\n";
    assert_eq!(problems(elsewhere), []);
}

#[test]
fn what_is_no_object_is_told_where_it_was_named() {
    let named = |text: &str| problems(text).into_iter().map(|problem| problem.kind).collect::<Vec<_>>();
    for text in ["", "# nothing\n", "replicas: 3\n", "- a\n- b\n", "text\n", "services: {web: {image: x}}\n"]
    {
        assert_eq!(named(text), [ProblemKind::NotAnObject], "{text}");
    }
    let kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n";
    assert_eq!(named(kustomization), [ProblemKind::NotAnObject]);
    assert_eq!(problem("kind: Pod\nmetadata: {name: a}\n").0, ProblemKind::NotAnObject);
    assert_eq!(problem("apiVersion: 1\nkind: Pod\nmetadata: {name: a}\n"), (ProblemKind::NotAnObject, 1, 13));
    let reading = read_text("a.yaml", &format!("{HPA}---\nreplicas: 3\n"));
    assert_eq!((reading.manifests.problems.len(), reading.passed_over), (0, 1));
    assert_eq!(reading.note().as_deref(), Some("1 document is no object of Kubernetes and was passed over"));
}

#[test]
fn other_encodings_are_told() {
    let mut utf16 = vec![0xff, 0xfe];
    utf16.extend(HPA.encode_utf16().flat_map(u16::to_le_bytes));
    for bytes in [utf16, b"apiVersion: v1\nkind: \xe9\n".to_vec()] {
        let folder = Folder::new("encoding");
        std::fs::write(folder.path("a.yaml"), bytes).expect("a file");
        let reading = folder.read().expect("it can be read");
        let [problem] = reading.manifests.problems.as_slice() else { panic!("{reading:?}") };
        assert_eq!(problem.kind, ProblemKind::Syntax);
        assert!(problem.message.contains("UTF-8"));
    }
}

#[test]
fn bombs_are_bounded() {
    let mut laughs = "apiVersion: v1\nkind: X\na: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for pair in ["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi", "ij"] {
        let (from, to) = pair.split_at(1);
        let ten = vec![format!("*{from}"); 10].join(",");
        laughs.extend([to, ": &", to, " [", &ten, "]\n"]);
    }
    assert_eq!(problem(&laughs).0, ProblemKind::TooLarge);
    // It says what is wrong, and what stands behind it is read.
    let list = problems(&laughs);
    assert_eq!(list[0].message, "its aliases stand for so much that it takes more than 128 MiB of memory");
    assert!(list[0].hint.starts_with("write out what is meant"), "{}", list[0].hint);
    let more = read_text(
        "app.yaml",
        &format!("{laughs}---\napiVersion: v1\nkind: Other\nmetadata: {{name: other}}\n"),
    );
    assert_eq!(more.manifests.documents.len(), 1, "{:?}", more.manifests.problems);
    let merges = laughs.replace('[', "{<<: [").replace(']', "]}").replace("x,", "").replace("[x]", "{x: 1}");
    assert_eq!(problems(&merges), [], "merging the same fields again makes no more of them");
    assert_eq!(
        problem(&format!("apiVersion: v1\nkind: X\na: {}", "[".repeat(100_000))).0,
        ProblemKind::TooLarge
    );
    let nested = "{a: ".repeat(120) + "1" + &"}".repeat(120);
    assert_eq!(problem(&format!("apiVersion: v1\nkind: X\na: {nested}\n")).0, ProblemKind::TooLarge);
    // Each level is harmless, and aliases pile them up.
    let mut tower = "apiVersion: v1\nkind: X\na0: &a0 [x]\n".to_owned();
    for level in 1..200 {
        let before = level - 1;
        writeln!(tower, "a{level}: &a{level} [[[*a{before}]]]").expect("a text takes it");
    }
    assert_eq!(problem(&tower).0, ProblemKind::TooLarge);
}

#[test]
fn a_long_text_that_is_meant_often_is_bounded() {
    let text = format!(
        "apiVersion: v1\nkind: X\na: &a \"{}\"\nb: [{}]\n",
        "x".repeat(1 << 20),
        vec!["*a"; 10_000].join(",")
    );
    assert_eq!(problem(&text).0, ProblemKind::TooLarge);
}

/// A directory that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("metrics-preflight-manifest-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
        self
    }

    fn read(&self) -> Result<Reading, ManifestError> {
        read(std::slice::from_ref(&self.0), std::io::empty())
    }

    fn link(&self, to: &Path, name: &str) -> &Self {
        std::os::unix::fs::symlink(to, self.path(name)).expect("a link");
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn names(reading: &Reading) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for document in &reading.manifests.documents {
        let name =
            Path::new(&document.place.file).file_name().expect("a name").to_string_lossy().into_owned();
        files.push(name);
    }
    files
}

#[test]
fn directories_are_read_in_order_and_without_what_is_hidden() {
    let folder = Folder::new("walk");
    folder
        .write("b.yml", HPA)
        .write("a.yaml", HPA)
        .write("sub/c.json", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}");
    folder.write(".git/d.yaml", HPA).write(".e.yaml", HPA).write("readme.md", HPA);
    folder
        .write("values.yaml", "image: {tag: 1}\n")
        .write("broken.yaml", "a: [\n")
        .write("tsconfig.json", "{ // x\n}");
    let reading = folder.read().expect("it can be read");
    assert_eq!(names(&reading), ["a.yaml", "b.yml", "c.json"]);
    assert_eq!((reading.manifests.problems.as_slice(), reading.passed_over), ([].as_slice(), 3));
    let kept: Vec<_> = reading.manifests.files.keys().collect();
    assert_eq!(kept.len(), 3, "lines are kept of files with objects or problems alone: {kept:?}");
}

#[test]
fn a_broken_manifest_in_a_directory_is_told() {
    let folder = Folder::new("broken");
    folder
        .write("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: [\n")
        .write("half.yaml", "kind: Pod\nspec: {}\n");
    let kinds: Vec<_> = folder
        .read()
        .expect("it can be read")
        .manifests
        .problems
        .into_iter()
        .map(|problem| problem.kind)
        .collect();
    assert_eq!(kinds, [ProblemKind::Syntax, ProblemKind::NotAnObject]);
}

#[test]
fn links_lead_nowhere_else() {
    let outside = Folder::new("outside");
    outside.write("secret.yaml", HPA).write("dir/x.yaml", HPA);
    let folder = Folder::new("links");
    folder.write("a.yaml", HPA).write("..data/mounted.yaml", HPA);
    folder.link(Path::new("..data/mounted.yaml"), "mounted.yaml").link(Path::new("a.yaml"), "again.yaml");
    folder.link(&folder.0, "loop").link(Path::new("nothing"), "dangling.yaml");
    folder.link(&outside.path("secret.yaml"), "secret.yaml").link(&outside.path("dir"), "dir");
    let reading = folder.read().expect("it can be read");
    assert_eq!(names(&reading), ["a.yaml", "mounted.yaml"], "each file once");
    let mut refused: Vec<_> = reading
        .manifests
        .problems
        .iter()
        .map(|problem| (problem.kind, problem.place.file.rsplit('/').next().unwrap_or_default()))
        .collect();
    refused.sort_by_key(|(_, name)| *name);
    let unreadable = ProblemKind::Unreadable;
    assert_eq!(refused, [(unreadable, "dangling.yaml"), (unreadable, "dir"), (unreadable, "secret.yaml")]);
}

#[test]
fn names_that_lead_to_nothing_are_errors() {
    let folder = Folder::new("errors");
    let failed = |path: &Path| read(&[path.to_owned()], std::io::empty()).expect_err("an error");
    assert!(failed(&folder.path("none.yaml")).message.contains("cannot be read"));
    assert!(failed(&folder.0).message.contains("holds no"));
    assert!(failed(Path::new("/dev/null")).message.contains("a device"));
    folder.write("a.txt", HPA);
    let reading =
        read(&[folder.path("a.txt")], std::io::empty()).expect("a named file may be called anything");
    assert_eq!(reading.manifests.documents.len(), 1);
    let dash = PathBuf::from("-");
    let reading = read(std::slice::from_ref(&dash), HPA.as_bytes()).expect("it can be read");
    assert_eq!(reading.manifests.documents[0].place.file, "-");
    let twice = read(&[dash.clone(), dash], HPA.as_bytes()).expect_err("an error");
    assert!(twice.message.contains("twice") && twice.to_string().starts_with("cannot read"));
}

#[test]
fn a_file_is_read_once() {
    let folder = Folder::new("once");
    folder.write("a.yaml", HPA);
    let both = [folder.path("a.yaml"), folder.0.clone(), folder.path("./a.yaml")];
    assert_eq!(read(&both, std::io::empty()).expect("it can be read").manifests.documents.len(), 1);
}

#[test]
fn a_file_that_is_too_long_is_told_and_not_kept() {
    let endless = std::io::repeat(b'#');
    let reading = read(&[PathBuf::from("-")], endless).expect("it ends");
    let [problem] = reading.manifests.problems.as_slice() else { panic!("{reading:?}") };
    assert_eq!(problem.kind, ProblemKind::TooLarge);
    assert!(problem.message.contains(&format!("{} MiB", FILE_BYTES >> 20)));
}
